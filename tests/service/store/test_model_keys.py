"""Scores that are used again in another experiment: only of the same model, on the same item set."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from search_spaces import Recipe
from service.experiment.candidate import Candidate, Timings
from service.store.database import Database
from service.store.journal import DatabaseJournal
from service.store.model_keys import ModelKeys, hash_folder
from tests.service.scripted_workforce import ITEMS, score_of
from tests.service.small_experiments import add_experiment
from tests.service.store.test_repository import RECIPE
from workers.protocol.messages import Scored

CONTENTS = {parent: f"content of {parent}" for parent in RECIPE.all_parents}


def journal_of(database: Database, name: str, keys: ModelKeys) -> DatabaseJournal:
    journal = DatabaseJournal(database, add_experiment(database, name=name).id, 0)
    journal.models = keys
    return journal


def proposed(journal: DatabaseJournal, recipe: Recipe = RECIPE) -> Candidate:
    candidate = Candidate(uuid4(), 0, 1, (0.5, 3, "ties"), recipe)
    journal.proposed([candidate])
    return candidate


def test_what_one_experiment_scored_another_one_knows(database: Database) -> None:
    first = journal_of(database, "first", ModelKeys(CONTENTS, "engine 1"))
    candidate = proposed(first)
    scores = (replace(score_of(RECIPE, "words"), item_set="item set 1"), score_of(RECIPE, "sums"))
    first.settled(candidate, Scored(candidate.id, 1, scores, 0.1, 0.2, "w"), Timings())
    first.commit()
    second = journal_of(database, "second", ModelKeys(CONTENTS, "engine 1"))
    assert second.known(proposed(second)) == scores[:1]  # what has no item set could be anything
    assert len(scores[0].margins) == ITEMS
    others = dict.fromkeys(RECIPE.all_parents, "other weights")
    for name, keys in (
        ("changed", ModelKeys(others, "engine 1")),
        ("later", ModelKeys(CONTENTS, "engine 2")),
    ):
        another = journal_of(database, name, keys)
        assert another.known(proposed(another)) == ()


def test_without_hashed_parents_nothing_is_known(database: Database) -> None:
    journal = journal_of(database, "small", ModelKeys({}, "engine"))
    assert journal.known(proposed(journal)) == ()


def test_a_folder_is_named_by_what_its_files_hold(sqlite_database: Database, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "config.json").write_text("{}")
        (folder / "README.md").write_text(folder.name)
    one, two = (hash_folder(sqlite_database, folder) for folder in folders)
    assert one == two
    weights = folders[1] / "model.safetensors"
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(1, 1))
    assert hash_folder(sqlite_database, folders[1]) != one
    assert hash_folder(sqlite_database, folders[0]) == one
