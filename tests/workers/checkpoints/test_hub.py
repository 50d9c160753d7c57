"""The Hub, through the real client, against a server of the tests' own.

The client reads its environment when it is imported, so every conversation is a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import torch
from transformers import AutoModelForCausalLM

from search_spaces import Parent
from tests.workers.hub_server import READER, WRITER, Fault, HubServer, Kill, Repository
from tests.workers.recipes import linear_recipe
from workers.checkpoints.hub.parent_files import local_folder
from workers.errors import CheckpointError

PUSH = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from pathlib import Path
from workers.errors import ExportError
from workers.checkpoints.hub.push import push_folder
from workers.checkpoints.hub.patience import Patience
from workers.protocol.messages import HubTarget
patience = Patience(first=0.01)
try:
    pushed = push_folder(Path(sys.argv[1]), HubTarget(**json.loads(sys.argv[2])), patience)
    print("PUSHED", json.dumps([pushed.url, pushed.commit]))
except ExportError as error:
    print("REFUSED", error)
"""
LOOK = """
import json, sys
from search_spaces import Parent
from workers.errors import CheckpointError
from workers.checkpoints.hub.parent_files import fetch_parent, inspect_parent
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


# What passes by itself

CALLS = (
    "POST /api/repos/create",
    "GET /api/models/lab/winner$",
    "GET /api/models/lab/winner/tree/",
    "POST /api/models/lab/winner/preupload/",
    "POST /lab/winner.git/info/lfs/objects/batch",
    "PUT /blobs/",
    "POST /api/models/lab/winner/commit/",
)


@pytest.mark.parametrize("kind", ["cut", *(pytest.param(k, marks=pytest.mark.slow) for k in (503, "lost"))])
def test_a_hiccup_at_every_call_changes_nothing_in_the_end(
    hub: HubServer, export_folder: Path, kind: int | Literal["cut", "lost"]
) -> None:
    hub.faults += [Fault(call, kind) for call in CALLS]
    assert "PUSHED" in push(hub, export_folder)
    assert [fault.times for fault in hub.faults] == [0] * len(CALLS)
    repository = hub.repositories["lab/winner"]
    assert len(repository.commits) == 2
    assert repository.files["model.safetensors"] == (export_folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_hub_that_asks_for_time_is_given_it_and_not_more_than_there_is(
    hub: HubServer, export_folder: Path
) -> None:
    hub.faults += [Fault(call, 429, headers={"Retry-After": "0"}) for call in CALLS[:3]]
    hub.faults += [Fault(CALLS[0], 429, headers={"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"})]
    assert "PUSHED" in push(hub, export_folder)
    hub.faults += [Fault(CALLS[0], 429, headers={"Retry-After": "100000"})]
    assert "takes no more requests for now (status 429" in push(hub, export_folder)


def test_a_hub_in_lasting_trouble_ends_the_push(hub: HubServer, export_folder: Path) -> None:
    hub.refusals[CALLS[1]] = 503
    assert "the Hub is in trouble (status 503" in push(hub, export_folder)
    assert hub.requests.count("GET /api/models/lab/winner") == 6


def test_what_is_there_is_not_uploaded_again(hub: HubServer, export_folder: Path) -> None:
    hub.refusals[CALLS[-1]] = 403
    assert "REFUSED" in push(hub, export_folder)
    hub.refusals.clear()
    assert "PUSHED" in push(hub, export_folder)
    assert sum(request.startswith("PUT /blobs/") for request in hub.requests) == 1
    seen = len(hub.repositories["lab/winner"].commits)
    assert "PUSHED" in push(hub, export_folder)
    assert len(hub.repositories["lab/winner"].commits) == seen


def test_a_commit_that_comes_in_between_is_looked_at(hub: HubServer, export_folder: Path) -> None:
    push(hub, export_folder)
    (export_folder / "README.md").write_text("another card\n")
    hub.faults.append(Fault(CALLS[-1], 412))
    assert "PUSHED" in push(hub, export_folder)
    assert hub.repositories["lab/winner"].files["README.md"] == b"another card\n"


EXPORT = """
import json, sys
from search_spaces import Recipe
from workers.errors import ExportError
from workers.export.export import export
from workers.protocol.messages import ExportOrder, HubTarget
order = ExportOrder(Recipe.model_validate_json(sys.argv[1]), sys.argv[2], replace=True, verify=False,
                    hub=HubTarget("lab/winner"))
for _ in range(2):
    reported = []
    try:
        exported = export(order, lambda tensors, _: reported.append(tensors))
        print("PUSHED", len(reported), exported.notes)
    except ExportError as error:
        print("REFUSED", len(reported), error)
"""


SHARDS = """
import sys, time
from pathlib import Path
from search_spaces import Recipe
from workers.export.export import export
from workers.protocol.messages import ExportOrder, HubTarget
folder = Path(sys.argv[2])
order = ExportOrder(Recipe.model_validate_json(sys.argv[1]), str(folder), verify=False, shard_bytes=6_000,
                    hub=HubTarget("lab/winner"))
def told(tensors, _):
    end = time.monotonic() + 50
    while tensors == 20 and not (folder.parent / "go on").exists() and time.monotonic() < end:
        time.sleep(0.05)
export(order, told)
"""


def test_shards_are_sent_while_the_rest_is_merged_and_shown_in_one_commit(
    hub: HubServer, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    command = [sys.executable, "-c", SHARDS, recipe.model_dump_json(), str(tmp_path / "out")]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home")} | hub.environment()
    with subprocess.Popen(command, env=environment) as process:
        end = time.monotonic() + 50
        while not hub.blobs and time.monotonic() < end:
            time.sleep(0.05)
        sent, commits = len(hub.blobs), len(hub.repositories["lab/winner"].commits)
        (tmp_path / "go on").touch()
    assert process.returncode == 0
    repository = hub.repositories["lab/winner"]
    shards = [name for name in repository.files if name.endswith(".safetensors")]
    assert 0 < sent < len(shards)
    assert (commits, len(repository.commits)) == (1, 2)  # the first one is the empty repository's
    assert all(repository.files[name] == (tmp_path / "out" / name).read_bytes() for name in shards)
    assert sum(request.startswith("PUT /blobs/") for request in hub.requests) == len(hub.blobs)


def test_an_upload_that_failed_is_done_again_without_merging_again(
    hub: HubServer, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    hub.faults.append(Fault(CALLS[-1], 403))
    arguments = (recipe.model_dump_json(), str(tmp_path / "out"))
    said = converse(EXPORT, *arguments, environment=hub.environment(), home=tmp_path / "home").stdout
    first, second = said.splitlines()
    assert first.startswith("REFUSED 21 lab/winner")
    assert f"kept in {tmp_path / 'out'}" in first
    assert second.startswith("PUSHED 0")
    assert "adds README.md" not in second
    assert "model.safetensors" in second
    assert not list(tmp_path.glob(".out*"))


# A repository that holds another model


@pytest.fixture
def occupied(hub: HubServer) -> Repository:
    """A repository with one file of weights, and what else an old model left behind."""
    hub.repositories["lab/winner"] = repository = Repository(private=True)
    names = (
        "model.safetensors",
        "pytorch_model.bin",
        "adapter_config.json",
        "tokenizer.model",
        "config.json",
    )
    others = ("notes.txt", "logo.png", "gguf/old.gguf", "LICENSE")
    repository.commit("an old model", {name: name.encode() for name in (*names, *others, ".gitattributes")})
    return repository


@pytest.fixture
def sharded(tmp_path: Path, tiny_parents: dict[str, Path]) -> Path:
    folder = tmp_path / "sharded"
    model = AutoModelForCausalLM.from_pretrained(tiny_parents["left"])
    model.save_pretrained(folder, max_shard_size="10KB")
    return folder


def test_a_sharded_model_is_not_put_beside_a_single_file_that_would_be_loaded_instead(
    hub: HubServer, occupied: Repository, sharded: Path
) -> None:
    answer = push(hub, sharded)
    assert "REFUSED lab/winner: holds another model" in answer
    gone = "adapter_config.json, model.safetensors, pytorch_model.bin, tokenizer.model"
    assert f"changes config.json; deletes {gone}; leaves alone LICENSE, gguf/old.gguf, logo.png" in answer
    assert "--replace" in answer
    assert len(occupied.commits) == 1


def test_a_model_that_may_be_replaced_goes_in_the_same_commit_and_nothing_else_does(
    hub: HubServer, occupied: Repository, sharded: Path, tmp_path: Path
) -> None:
    before = occupied.files
    assert "PUSHED" in push(hub, sharded, replace=True)
    assert len(occupied.commits) == 2
    kept = {".gitattributes", "notes.txt", "logo.png", "gguf/old.gguf", "LICENSE"}
    assert set(occupied.files) == kept | {path.name for path in sharded.iterdir()}
    assert all(occupied.files[name] == before[name] for name in kept)
    for name, content in occupied.files.items():
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / name).write_bytes(content)
    mine, theirs = (
        AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (sharded, tmp_path / "clone")
    )
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_card_alone_is_no_other_model(hub: HubServer, export_folder: Path) -> None:
    hub.repositories["lab/winner"] = repository = Repository(private=True)
    repository.commit("begin", {"README.md": b"soon", "LICENSE": b"mit"})
    assert "PUSHED" in push(hub, export_folder)
    assert repository.files["LICENSE"] == b"mit"


def test_a_pull_request_leaves_the_main_branch_alone_and_is_opened_once(
    hub: HubServer, occupied: Repository, export_folder: Path
) -> None:
    before = occupied.files
    hub.faults.append(Fault(CALLS[-1], "lost"))
    for _ in range(2):
        answer = push(hub, export_folder, replace=True, create_pr=True)
        url, reference = json.loads(answer.split("PUSHED ", 1)[1])
        assert (url, reference) == (f"{hub.url}/lab/winner/discussions/1", "refs/pr/1")
    assert (occupied.files, len(occupied.requests)) == (before, 1)
    (request,) = occupied.requests.values()
    assert request.files["model.safetensors"] == (export_folder / "model.safetensors").read_bytes()
    assert "pytorch_model.bin" not in request.files


@pytest.mark.slow
def test_members_of_a_front_share_a_collection(hub: HubServer, export_folder: Path) -> None:
    for name in ("lab/winner-1", "lab/winner-2", "lab/winner-1"):
        assert "PUSHED" in push(hub, export_folder, repository=name, collection="skills: front")
    assert hub.collections == {"lab/skills-front-0": ["lab/winner-1", "lab/winner-2"]}


def test_bytes_that_changed_on_their_way_are_noticed(hub: HubServer, export_folder: Path) -> None:
    hub.corrupts = "config.json"
    answer = push(hub, export_folder)
    assert "REFUSED lab/winner: has other bytes than were sent in config.json" in answer


@pytest.mark.slow
def test_a_push_that_is_killed_anywhere_shows_all_or_nothing_and_is_taken_up_again(
    hub: HubServer, occupied: Repository, sharded: Path
) -> None:
    old, rng = occupied.files, random.Random(17)
    kept = {".gitattributes", "notes.txt", "logo.png", "gguf/old.gguf", "LICENSE"}
    new = {path.name: path.read_bytes() for path in sharded.iterdir()} | {name: old[name] for name in kept}
    push(hub, sharded, repository="lab/measured")
    requests = len(hub.requests)
    for _ in range(20):
        occupied.commits[1:] = []
        hub.blobs.clear()
        with cut_after(hub, rng.randrange(1, requests + 1), answered=rng.random() < 0.5):
            killed(hub, sharded, replace=True)
        assert occupied.files in (old, new)
        assert "PUSHED" in push(hub, sharded, replace=True)
        assert occupied.files == new
        assert len(occupied.commits) == 2


@contextmanager
def cut_after(hub: HubServer, count: int, *, answered: bool) -> Iterator[None]:
    """Kills the client at its request of this number, carried out or not."""
    hub.requests.clear()
    hub.kills = Kill(count, answered)
    try:
        yield
    finally:
        hub.kills = None


def killed(hub: HubServer, folder: Path, **target: object) -> None:
    """Pushes in a process that the Hub kills; it may have come to its end before."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    wanted = json.dumps({"repository": "lab/winner"} | target)
    client = subprocess.Popen(
        [sys.executable, "-c", PUSH, str(folder), wanted],
        env=kept | {"HF_HOME": str(folder.parent / "home")} | hub.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if hub.kills is not None:
        hub.kills.process = client
    client.wait(timeout=60)


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
    """A Hub with the tiny base model, and beside it what must not be downloaded."""
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
    ("reference", "how", "token", "word"),
    [
        ("lab/nothing", "inspect", READER, "status 404"),
        ("lab/base@nowhere", "fetch", READER, "status 404"),
        ("lab/base", "inspect", None, "HF_TOKEN"),
    ],
)
def test_a_parent_that_the_hub_does_not_show_is_refused(
    published: HubServer, tmp_path: Path, reference: str, how: str, token: str | None, word: str
) -> None:
    answer = look(published, reference, how, tmp_path, token)
    assert "REFUSED" in answer
    assert word in answer


def test_a_reference_that_is_neither_folder_nor_repository_is_refused() -> None:
    for reference in ("./nowhere", "/nowhere/at/all", "just-a-name", "a/../b"):
        with pytest.raises(CheckpointError, match="there is no folder"):
            local_folder(Parent(model=reference))
