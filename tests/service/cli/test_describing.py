"""Experiments are renamed, tagged and starred, and made anew after others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.exits import Exit
from service.client.client import Client
from service.client.errors import ApiError
from service.specification.merge_patch import merged
from tests.service.command import Command
from tests.service.running import ended, spec_over

Parents = dict[str, Path]


def test_an_experiment_is_tagged_starred_and_renamed_and_keeps_its_results(
    evomerge: Command, client: Client, paper_parents: Parents
) -> None:
    client.create(spec_over(paper_parents))
    before = ended(client, "small")
    edit = ("edit", "small", "--tag", "paper", "--tag", "draft", "--star", "--notes", "the first")
    assert "small (starred), tagged paper, draft" in evomerge.notes(*edit)
    evomerge("edit", "small", "--untag", "draft", "--name", "first")
    after = client.experiment("first")
    assert (after.id, after.tags, after.starred, after.notes) == (before.id, ["paper"], True, "the first")
    assert after.spec["name"] == "first"
    assert after.winner == before.winner
    assert "small" in evomerge("status", "small", code=Exit.NOT_FOUND)
    assert json.loads(evomerge("edit", "first", "--no-star", "--json"))["starred"] is False
    assert "say what to change" in evomerge("edit", "first", code=Exit.USAGE)


def test_a_name_that_another_experiment_has_cannot_be_taken(client: Client, paper_parents: Parents) -> None:
    for name in ("one", "other"):
        client.create(spec_over(paper_parents, name=name))
    with pytest.raises(ApiError, match="other") as refused:
        client.describe("one", name="other")
    assert (refused.value.status, refused.value.code) == (409, "name_taken")
    with pytest.raises(ApiError, match="slashes"):
        client.describe("one", name="a/b")
    assert client.experiment("one").name == "one"


def test_an_experiment_is_made_after_another_with_changes(
    evomerge: Command, client: Client, paper_parents: Parents
) -> None:
    client.create(spec_over(paper_parents))
    assert "second is" in evomerge.notes("clone", "small", "second", "--set", "budget.candidates=4")
    old, new = client.experiment("small").spec, ended(client, "second").spec
    assert new == {**old, "name": "second", "budget": {**old["budget"], "candidates": 4}}
    assert client.clone("second", "third", {"seed": None}).spec["seed"] == 0
    with pytest.raises(ApiError) as refused:
        client.clone("small", "fourth", {"budget": {"candidates": 0}, "colour": "red"})
    assert {mistake.pointer for mistake in refused.value.mistakes} == {"/budget/candidates", "/colour"}
    assert "small" in evomerge("clone", "second", "small", code=Exit.CONFLICT)


@pytest.mark.parametrize(
    ("content", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_as_rfc_7396_has_them(
    content: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    assert merged(content, patch) == result
