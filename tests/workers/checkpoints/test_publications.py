"""What a repository holds is read before it is pushed to, and what a push would change is foreseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.workers.checkpoints.test_hub import converse, push
from tests.workers.hub_server import Fault, HubServer

FORESEE = """
import json, sys
from workers.checkpoints.hub.foreseen_push import foreseen_push
from workers.protocol.messages import HubTarget
print("FORESEEN", json.dumps(foreseen_push(sys.argv[1].split(), {}, HubTarget(**json.loads(sys.argv[2])))))
"""
ASK = """
import json, sys
from dataclasses import asdict
from workers.checkpoints.hub.published import published
from workers.protocol.publications import PublicationInquiry
print("PUBLISHED", json.dumps(asdict(published(PublicationInquiry(sys.argv[1])))))
"""


@pytest.fixture
def export_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "winner"
    folder.mkdir()
    for name in ("model.safetensors", "config.json", "README.md"):
        (folder / name).write_text("{}")
    return folder


def test_what_a_push_would_change_is_told_without_sending_anything(
    hub: HubServer, export_folder: Path
) -> None:
    def foreseen(**target: object) -> tuple[str, list[str]]:
        wanted = json.dumps({"repository": "lab/winner"} | target)
        names = "config.json model-00001-of-00002.safetensors README.md"
        home = export_folder.parent / "home"
        told = converse(FORESEE, names, wanted, environment=hub.environment(), home=home).stdout
        change, refusals = json.loads(told.split("FORESEEN ", 1)[1])
        return change, refusals

    assert foreseen() == ("makes the private repository lab/winner and fills it", [])
    assert not hub.repositories
    push(hub, export_folder, private=False)
    asked, commits = len(hub.requests), len(hub.repositories["lab/winner"].commits)
    change, refusals = foreseen()
    assert "adds model-00001-of-00002.safetensors; changes README.md, config.json" in change
    assert "deletes model.safetensors" in change
    assert [word in "".join(refusals) for word in ("is public", "--replace")] == [True, True]
    assert foreseen(private=False, replace=True)[1] == []
    assert all(each.startswith("GET ") for each in hub.requests[asked:])
    assert len(hub.repositories["lab/winner"].commits) == commits


def test_a_version_is_tagged_and_the_repository_says_what_it_holds(
    hub: HubServer, export_folder: Path
) -> None:
    def asked() -> dict[str, object]:
        home = export_folder.parent / "home"
        told = converse(ASK, "lab/winner", environment=hub.environment(), home=home).stdout
        found: dict[str, object] = json.loads(told.split("PUBLISHED ", 1)[1])
        return found

    nothing: dict[str, object] = {"repository": "lab/winner", "scores": None, "recipe": None, "tags": []}
    assert asked() == nothing
    (export_folder / "evomerge.json").write_text('{"candidate": 7}')
    (export_folder / "evomerge.lock.json").write_text('{"recipe": {"method": "linear"}}')
    hub.faults += [Fault("POST /api/models/lab/winner/tag/", 503)]
    push(hub, export_folder, tag="v1.0.0")
    repository = hub.repositories["lab/winner"]
    assert repository.tags == {"v1.0.0": repository.commits[-1].oid}
    known = {"scores": {"candidate": 7}, "recipe": {"method": "linear"}, "tags": ["v1.0.0"]}
    assert asked() == {"repository": "lab/winner"} | known
    (export_folder / "README.md").write_text("Another card.\n")
    assert "PUSHED" in push(hub, export_folder, tag="v1.0.0")  # a tag stays where it is
    assert repository.tags == {"v1.0.0": repository.commits[-2].oid}
    (export_folder / "evomerge.json").write_text("[")
    push(hub, export_folder, replace=True)
    assert asked()["scores"] is None
