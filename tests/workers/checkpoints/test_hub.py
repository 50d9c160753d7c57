"""The Hub, through the real client, against a server of the tests' own.

The client reads its environment when it is imported, so every conversation is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import Parent
from tests.workers.hub_server import READER, WRITER, HubServer, Repository
from workers.checkpoints.hub import local_folder
from workers.errors import CheckpointError

PUSH = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from pathlib import Path
from workers.errors import ExportError
from workers.checkpoints.hub_client import push_folder
from workers.protocol.messages import HubTarget
try:
    pushed = push_folder(Path(sys.argv[1]), HubTarget(**json.loads(sys.argv[2])))
    print("PUSHED", json.dumps([pushed.url, pushed.commit]))
except ExportError as error:
    print("REFUSED", error)
"""
LOOK = """
import json, sys
from search_spaces import Parent
from workers.errors import CheckpointError
from workers.checkpoints.hub import fetch_parent, inspect_parent
from workers.checkpoints.inspection import inspect_checkpoint
parent = Parent.model_validate(sys.argv[1])
try:
    if sys.argv[2] == "inspect":
        layout = inspect_parent(parent)
    else:
        layout = inspect_checkpoint(parent, fetch_parent(parent))
    here = sorted(path.name for path in layout.folder.iterdir())
    print("FOUND", json.dumps([layout.architecture, layout.layers, len(layout.tensors), layout.bytes, here]))
except CheckpointError as error:
    print("REFUSED", error)
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def export_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "winner"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(os.urandom(100_000))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA merged model.\n")
    return folder


def converse(
    script: str, *arguments: str, environment: dict[str, str], home: Path
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=kept | {"HF_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for token in (WRITER, READER):
        assert token not in result.stdout + result.stderr
    return result


def push(hub: HubServer, folder: Path, *, token: str | None = WRITER, **target: object) -> str:
    wanted = json.dumps({"repository": "lab/winner"} | target)
    home = folder.parent / "home"
    result = converse(PUSH, str(folder), wanted, environment=hub.environment(token), home=home)
    return result.stdout


def test_a_push_is_one_commit_with_every_file_as_it_is_on_disk(hub: HubServer, export_folder: Path) -> None:
    answer = push(hub, export_folder, message="Evolved")
    repository = hub.repositories["lab/winner"]
    url, commit = json.loads(answer.split("PUSHED ", 1)[1])
    assert url == f"{hub.url}/lab/winner"
    assert [c.message for c in repository.commits] == ["initial commit", "Evolved"]
    assert repository.commits[-1].oid == commit
    for path in export_folder.iterdir():
        assert repository.files[path.name] == path.read_bytes()


def test_a_push_is_private_unless_it_is_asked_to_be_public(hub: HubServer, export_folder: Path) -> None:
    push(hub, export_folder)
    push(hub, export_folder, repository="lab/open", private=False)
    assert hub.repositories["lab/winner"].private
    assert not hub.repositories["lab/open"].private


def test_a_private_push_does_not_land_in_a_repository_that_is_public(
    hub: HubServer, export_folder: Path
) -> None:
    push(hub, export_folder, private=False)
    before = len(hub.repositories["lab/winner"].commits)
    assert "is public" in push(hub, export_folder)
    assert len(hub.repositories["lab/winner"].commits) == before


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, ("no Hub token", "HF_TOKEN")),
        ("hf_unknown", ("status 401", "HF_TOKEN")),
        (READER, ("status 403", "HF_TOKEN")),
    ],
)
def test_a_push_without_the_right_to_it_says_what_to_do(
    hub: HubServer, export_folder: Path, token: str | None, words: tuple[str, ...]
) -> None:
    answer = push(hub, export_folder, token=token)
    assert "REFUSED lab/winner" in answer
    assert all(word in answer for word in words)
    assert not hub.repositories


@pytest.mark.parametrize("step", ["PUT /blobs", "POST .*preupload", "POST .*/commit/main"])
def test_a_push_that_breaks_off_leaves_nothing_visible(
    hub: HubServer, export_folder: Path, step: str
) -> None:
    hub.refusals[step] = 403
    assert "REFUSED" in push(hub, export_folder)
    assert list(hub.repositories["lab/winner"].files) == [".gitattributes"]


def test_a_hub_that_does_not_answer_is_named(export_folder: Path, tmp_path: Path) -> None:
    with HubServer() as gone:
        environment = gone.environment()
    target = json.dumps({"repository": "lab/winner"})
    answer = converse(PUSH, str(export_folder), target, environment=environment, home=tmp_path).stdout
    assert "REFUSED" in answer
    assert environment["HF_ENDPOINT"] in answer
    assert "network" in answer


def look(hub: HubServer, reference: str, how: str, home: Path, token: str | None = READER) -> str:
    return converse(LOOK, reference, how, environment=hub.environment(token), home=home).stdout


@pytest.fixture
def published(hub: HubServer, tiny_parents: dict[str, Path]) -> HubServer:
    """A Hub with the tiny base model, and beside it what nobody should download."""
    hub.repositories["lab/base"] = repository = Repository(private=True)
    files = {path.name: path.read_bytes() for path in tiny_parents["base"].iterdir()}
    repository.commit("a model", files | {"pytorch_model.bin": b"\x80\x04", "modeling.py": b"boom"})
    return hub


def test_a_parent_on_the_hub_is_inspected_without_its_weights(published: HubServer, tmp_path: Path) -> None:
    architecture, layers, tensors, size, here = json.loads(
        look(published, "lab/base", "inspect", tmp_path).split("FOUND ", 1)[1]
    )
    assert (architecture, layers, tensors) == ("LlamaForCausalLM", 2, 21)
    assert size > 10_000
    assert "model.safetensors" not in here


def test_fetching_a_parent_brings_weights_and_tokenizer_but_no_code_and_no_pickle(
    published: HubServer, tmp_path: Path
) -> None:
    revision = published.repositories["lab/base"].commits[-1].oid
    answer = look(published, f"lab/base@{revision}", "fetch", tmp_path)
    here = json.loads(answer.split("FOUND ", 1)[1])[-1]
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(here)
    assert not {"pytorch_model.bin", "modeling.py"} & set(here)


@pytest.mark.parametrize(
    ("reference", "token", "word"),
    [
        ("lab/nothing", READER, "status 404"),
        ("lab/base@nowhere", READER, "status 404"),
        ("lab/base", None, "HF_TOKEN"),
    ],
)
def test_a_parent_that_the_hub_does_not_show_is_refused(
    published: HubServer, tmp_path: Path, reference: str, token: str | None, word: str
) -> None:
    for how in ("inspect", "fetch"):
        answer = look(published, reference, how, tmp_path, token)
        assert "REFUSED" in answer
        assert word in answer


def test_a_reference_that_is_neither_folder_nor_repository_is_refused() -> None:
    for reference in ("./nowhere", "/nowhere/at/all", "just-a-name", "a/../b"):
        with pytest.raises(CheckpointError, match="there is no folder"):
            local_folder(Parent(model=reference))
