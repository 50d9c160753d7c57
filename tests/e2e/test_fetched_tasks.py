"""Tasks over a data set of the Hub: fetched once with the real client, then asked without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.cli.exits import Exit
from tests.conftest import REPOSITORY
from tests.evaluators.task_writing import CHOICE, three_splits
from tests.tiny_models import save_tiny_model
from tests.workers.hub_server import HubServer, Repository

DATA = "org/words"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        repository = Repository(private=False)
        files = {
            f"{split}.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()
            for split, rows in three_splits(20).items()
        }
        parts = [{"split": split, "path": f"{split}.jsonl"} for split in three_splits()]
        head = yaml.safe_dump({"configs": [{"config_name": "default", "data_files": parts}]})
        repository.commit("data", {**files, "README.md": f"---\n{head}---\n".encode()})
        server.repositories[f"datasets/{DATA}"] = repository
        yield server


class Evomerge:
    """`evomerge` in a process of its own, with a cache of Hugging Face's of its own."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        home = {"HF_HOME": str(folder / "hf"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.folder, self._environment = folder, os.environ | hub.environment(None) | home

    def __call__(self, *words: object, **environment: str) -> str:
        program = "from service.cli.program import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)],
            env={**self._environment, "PYTHONPATH": str(REPOSITORY), **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == Exit.OK, done.stdout + done.stderr
        return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_fetched_once_is_asked_without_a_network(hub: HubServer, tmp_path: Path) -> None:
    evomerge = Evomerge(hub, tmp_path)
    tasks, model = tmp_path / "tasks", save_tiny_model(tmp_path / "model", 1)
    tasks.mkdir()
    task: dict[str, Any] = {"task": "hub_words", "dataset_path": DATA, "test_split": "search", **CHOICE}
    (tasks / "hub_words.yaml").write_text(yaml.safe_dump(task))
    said = evomerge("tasks", "fetch", "hub_words", "--tasks-path", tasks)
    assert DATA in said
    assert "60" in said
    assert str(tmp_path / "hf" / "datasets") in said
    hub.requests.clear()
    asked = ("evaluate", model, "--tasks", "hub_words", "--tasks-path", tasks, "--json")
    found = json.loads(evomerge(*asked, HF_HUB_OFFLINE="1"))
    assert found["models"][0]["n-samples"]["hub_words"]["effective"] == 20
    assert not hub.requests
