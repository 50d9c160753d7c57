"""README's commands, in order, on a machine where nothing was run before and no service runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import REPOSITORY
from tests.tiny_models import save_tiny_model

COUNT = 200
ANSWERS = ("w1", "w2", "w3", "w4")


def commands() -> list[str]:
    """Returns the commands by which README has a newcomer begin, without their comments."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```\n(evomerge .*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in found for line in block.splitlines()]
    assert all(line.startswith("evomerge ") for line in lines)
    return lines


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models and questions that README speaks of, and `evomerge` on the path."""
    for seed, name in enumerate(("base", "math", "japanese")):
        save_tiny_model(tmp_path / name, seed)
    write_questions(tmp_path)
    program = tmp_path / "bin" / "evomerge"
    program.parent.mkdir()
    start = f"{shlex.quote(sys.executable)} -c 'from service.cli import main; main()'"
    program.write_text(f'#!/bin/sh\nexec {start} "$@"\n')
    program.chmod(0o755)
    for name in [name for name in os.environ if name.startswith("EVOMERGE_")]:
        monkeypatch.delenv(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("EVOMERGE_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("EVOMERGE_WORKFORCE", "inline")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PATH", os.pathsep.join((str(program.parent), os.environ["PATH"])))
    return tmp_path


def write_questions(folder: Path) -> None:
    """Writes questions whose answers are those of the models' average, so that merging is of use."""
    weights: dict[str, torch.Tensor] = {}
    for name in ("math", "japanese"):
        model = AutoModelForCausalLM.from_pretrained(folder / name)
        for key, tensor in model.state_dict().items():
            weights[key] = weights.get(key, 0) + tensor / 2
    model.load_state_dict(weights)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    offered = tokenizer.convert_tokens_to_ids(list(ANSWERS))
    asked = [f"w{5 + n % 23} w{5 + n * 7 % 23} w{5 + n * n % 19}" for n in range(COUNT)]
    rows = []
    for question in asked:
        ids = tokenizer(question, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, -1, offered]
        rows.append({"question": question, "answer": ANSWERS[int(logits.argmax())]})
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def weights_of(folder: Path) -> Mapping[str, str]:
    """Returns what a checkpoint's files of weights hold, as digests."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.safetensors")}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("bash") is None, reason="README's commands are for a shell")
def test_readmes_commands_succeed_one_after_the_other_without_a_service(machine: Path) -> None:
    said: dict[str, str] = {}
    for line in commands():
        done = subprocess.run(
            ["bash", "-c", line], cwd=machine, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        said[line] = done.stdout
    assert {line.split()[1] for line in said} >= {
        "init",
        "check",
        "run",
        "front",
        "export",
        "recipe",
        "merge",
    }
    assert weights_of(machine / "merged") == weights_of(machine / "merged-again") != {}
    AutoModelForCausalLM.from_pretrained(machine / "merged")
