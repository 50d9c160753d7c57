"""Commands that look at experiments."""

from __future__ import annotations

import json
import re
from pathlib import Path

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.exits import Exit
from service.client.client import Client
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, spec_over


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
    heads = "number,label,recipe,on_front,winner,search:words,search:words:stderr,search:sums"
    assert rows[0].startswith(heads)
    labels = {row.split(",")[1] for row in rows[1:]}
    assert labels >= {point["label"] for point in view["baselines"]}
    assert "'train' is not one of" in finished("front", "small", "--split", "train", code=Exit.USAGE)


def test_a_rule_divides_the_front_from_what_it_is_compared_to(finished: Command) -> None:
    lines = finished("front", "small", "--split", "test").splitlines()
    view = json.loads(finished("front", "small", "--split", "test", "--json"))
    rules = [number for number, line in enumerate(lines) if line.startswith("───")]
    assert rules == [2, 3 + len(view["front"])]
    assert lines[1].split()[:2] == ["NO.", "RECIPE"]
    assert [lines[0].count(split) for split in ("TEST", "SEARCH", "SELECTION")] == [1, 1, 1]
    (marked,) = [line for line in lines if "winner: " in line]
    assert marked.split()[0] == str(view["winner"])
    evolved = [point["words"] for point in view["front"] if point["kind"] == "evolved"]
    assert all(
        re.fullmatch(r"task_arithmetic: left -?\d\.\d\d \+ right -?\d\.\d\d", each) for each in evolved
    )
    assert any("parent: left" in line for line in lines[rules[1] :])


def test_candidates_are_listed_sorted_and_chosen(finished: Command) -> None:
    assert "plain average" in finished("candidates", "small")
    found = json.loads(finished("candidates", "small", "--sort", "score", "--limit", 3, "--json"))["items"]
    best = json.loads(finished("status", "small", "--json"))["progress"]["best_number"]
    assert [len(found), found[0]["number"]] == [3, best]
    assert "no such candidates" in finished.notes("candidates", "small", "--status", "failed")
    rows = finished("candidates", "small", "--csv", "--status", "scored").splitlines()
    assert rows[0].startswith("number,generation,made_by,status,on_front,seconds,search:words")
    assert len(rows) == 13
    assert "is not one of" in finished("candidates", "small", "--status", "lost", code=Exit.USAGE)


def test_all_of_a_candidate_is_shown(finished: Command) -> None:
    text = finished("show", "small", "winner")
    for word in ("made by", "OBJECTIVE", "SEARCH", "TEST", "merge_method: "):
        assert word in text
    assert json.loads(finished("show", "small", 7, "--json"))["number"] == 7
    assert "there is no" in finished("show", "small", 99, code=Exit.NOT_FOUND)


def test_what_happened_is_a_line_each(finished: Command) -> None:
    lines = finished("events", "small").splitlines()
    assert "experiment.created  name=small" in lines[0]
    assert "status=succeeded" in lines[-1]
    told = [json.loads(line) for line in finished("events", "small", "--json", "--follow").splitlines()]
    assert [each["kind"] for each in told][:2] == ["experiment.created", "experiment.status"]
    assert len(finished("events", "small", "--after", told[-2]["id"]).splitlines()) == 1


def test_what_went_wrong_is_told_with_its_remedy(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: dict[str, Path]
) -> None:
    workforce.prepare_error = MemoryError("no room")
    client.create(spec_over(paper_parents))
    ended(client, "small")
    assert "no room" in evomerge("logs", "small")
    (entry,) = json.loads(evomerge("logs", "small", "--json"))
    assert entry["of"] == "the experiment"
    assert entry["remedy"]


def test_where_nothing_went_wrong_that_is_said(finished: Command) -> None:
    assert "Nothing went wrong" in finished.notes("logs", "small")


def test_what_was_found_out_about_the_winner_is_shown(finished: Command) -> None:
    text = finished("examination", "small")
    for words in ("winner:", "words: test", "optimism", "against parent: left", "p = ", "chance of being"):
        assert words in text
    found = json.loads(finished("examination", "small", "--json"))
    assert [objective["name"] for objective in found["objectives"]] == ["words", "sums"]


def test_a_recipe_is_written_as_it_is(finished: Command) -> None:
    assert read_recipe(finished("recipe", "small", 7)).method == "task_arithmetic"
    assert read_recipe(finished("recipe", "small", "winner")).all_parents
