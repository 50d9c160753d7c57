"""Commands that look at experiments."""

from __future__ import annotations

import json

from search_spaces.recipes.mergekit_yaml import read_recipe
from service.cli.output import Exit
from tests.service.command import Command


def test_experiments_are_listed(finished: Command) -> None:
    assert "small" in finished("list")
    assert json.loads(finished("list", "--json"))["items"][0]["name"] == "small"


def test_an_empty_service_says_what_to_do(evomerge: Command) -> None:
    assert "evomerge run" in evomerge.notes("list")
    assert evomerge("list") == ""


def test_the_status_is_shown(finished: Command) -> None:
    text = finished("status", "small")
    for word in ("finished", "12 of 12", "12 scored", "winner", "optimism", "hypervolume"):
        assert word in text
    assert json.loads(finished("status", "small", "--json"))["progress"]["settled"] == 12


def test_the_front_is_shown_beside_the_baselines(finished: Command) -> None:
    text = finished("front", "small", "--split", "test")
    assert "parent: left" in text
    assert "plain average" in text
    assert "±" in text
    view = json.loads(finished("front", "small", "--json"))
    rows = finished("front", "small", "--csv").splitlines()
    assert rows[0].startswith("number,label,on_front,winner,search:words,search:words:stderr,search:sums")
    labels = {row.split(",")[1] for row in rows[1:]}
    assert labels >= {point["label"] for point in view["baselines"]}
    assert "no split" in finished("front", "small", "--split", "train", code=Exit.USAGE)


def test_what_was_found_out_about_the_winner_is_shown(finished: Command) -> None:
    text = finished("examination", "small")
    for words in ("winner:", "words: test", "optimism", "against parent: left", "p = ", "chance of being"):
        assert words in text
    found = json.loads(finished("examination", "small", "--json"))
    assert [objective["name"] for objective in found["objectives"]] == ["words", "sums"]


def test_a_recipe_is_written_as_it_is(finished: Command) -> None:
    assert read_recipe(finished("recipe", "small", 7)).method == "task_arithmetic"
    assert read_recipe(finished("recipe", "small", "winner")).all_parents
