"""README's commands, in order, on a machine on which no service runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    line for kind, text in BLOCKS if not kind for line in text.splitlines() if line.startswith("evomerge ")
]
SMALL = {"budget": {"candidates": 16}, "examination": {"finalists": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What README's user has: models, questions, and the experiments that it speaks of."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("user")
    making = [sys.executable, "-m", "examples.language_and_arithmetic", str(made), "--quick"]
    subprocess.run(making, cwd=REPOSITORY, check=True, capture_output=True)
    for ours, theirs in (("arithmetic", "math"), ("language", "japanese"), ("base", "base")):
        shutil.copytree(made / "parents" / ours, folder / theirs)
    shutil.copytree(made / "tasks", folder / "tasks")
    write_questions(made / "tasks", folder / "questions.jsonl")
    write_experiments(folder)
    return folder


def write_questions(tasks: Path, file: Path) -> None:
    """Writes the questions of one of the demo's tasks as a user has them."""
    choices = yaml.safe_load((tasks / "arithmetic_z.yaml").read_text())["doc_to_choice"]
    lines = [
        line
        for path in sorted((tasks / "data").glob("arithmetic_z_*"))
        for line in path.read_text().splitlines()
    ]
    items = [json.loads(line) for line in lines]
    with file.open("w") as out:
        for item in items:
            out.write(json.dumps(item | {"choices": choices, "answer": choices[item["answer"]]}) + "\n")


def write_experiments(folder: Path) -> None:
    """Writes README's experiment over the models that are here, and a pair that builds upon each other."""
    ((_, text),) = [block for block in BLOCKS if block[0] == "yaml"]
    spec: dict[str, Any] = yaml.safe_load(text)
    spec |= {"base": "./base", "parents": ["./math", "./japanese"], "tasks_path": "tasks", **SMALL}
    # So short a search finds a better merge only in a small space.
    spec |= {"space": {"method": "task_arithmetic"}, "objectives": [{"task": "arithmetic_z"}]}
    mix = spec | {"name": "mix"}
    stack = spec | {"name": "stack", "space": {"kind": "layer_stacking", "winner": "mix"}}
    for name, content in (("experiment", spec), ("mix", mix), ("stack", stack)):
        (folder / f"{name}.yml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_readmes_commands_succeed_in_order_without_a_service(folder: Path) -> None:
    assert len(COMMANDS) > 8
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EVOMERGE_")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "EVOMERGE_PORT": port, "EVOMERGE_WORKFORCE": "inline"}
    begin = "import sys; sys.argv[0] = 'evomerge'; from service.cli.program import main; main()"
    for command in COMMANDS:
        words = shlex.split(command, comments=True)[1:]
        done = subprocess.run(
            [sys.executable, "-c", begin, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        if words[0] == "init":
            spec = yaml.safe_load((folder / "first.yml").read_text())
            (folder / "first.yml").write_text(yaml.safe_dump(spec | SMALL))
    for name in ("merged-first", "merged"):
        assert (folder / name / "config.json").exists()
