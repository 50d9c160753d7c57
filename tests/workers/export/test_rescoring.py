"""A checkpoint answers stored items again before it gets its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evaluators import Benchmark, Score
from tests.workers.recipes import linear_recipe, parent_at
from workers.errors import ExportError
from workers.export.merge_to_disk import merge_to_disk
from workers.export.rescoring.answer_comparison import compare_answers
from workers.protocol.messages import Assignment, ExportOrder, Scored, Workload
from workers.protocol.stored_answers import StoredAnswers
from workers.runtime.pipeline import Pipeline


def answered(per_item: tuple[float, ...], margins: tuple[float, ...] = ()) -> Score:
    return Score(
        "words", "acc,none", 0.5, 0.1, higher_is_better=True,
        per_item=per_item, item_indices=tuple(range(len(per_item))), margins=margins,
    )  # fmt: skip


def test_only_near_ties_may_turn_over() -> None:
    stored = answered((1.0, 0.0, 1.0), margins=(0.001, -2.0, 3.0))
    tie = compare_answers(stored, answered((0.0, 0.0, 1.0)), "float32")
    assert tie.agrees
    assert tie.text() == "words 2 of 3 the same, 1 near ties turned over"
    clear = compare_answers(stored, answered((1.0, 1.0, 1.0)), "float32")
    assert (clear.agrees, clear.differing) == (False, (1,))


def test_of_answers_without_margins_one_in_twenty_may_differ() -> None:
    stored = answered((1.0,) * 40)
    assert compare_answers(stored, answered((0.0,) * 2 + (1.0,) * 38), "float32").agrees
    assert not compare_answers(stored, answered((0.0,) * 3 + (1.0,) * 37), "float32").agrees


def test_values_that_are_neither_right_nor_wrong_may_differ_in_the_last_digits() -> None:
    stored = answered((0.5, 0.5), margins=(1.0, 1.0))
    assert compare_answers(stored, answered((0.5001, 0.4999)), "float32").agrees
    assert not compare_answers(stored, answered((0.6, 0.5)), "float32").agrees


@pytest.mark.slow
def test_a_checkpoint_that_answers_otherwise_than_its_candidate_is_not_written(
    tiny_parents: dict[str, Path], words: Benchmark, workload: Workload, tmp_path: Path
) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    pipeline = Pipeline(replace(workload, parents=tuple(parent_at(f) for f in tiny_parents.values())))
    outcome = pipeline.run(Assignment(candidate=workload.experiment, number=0, recipe=recipe))
    pipeline.close()
    assert isinstance(outcome, Scored)
    (score,) = outcome.scores
    kept = replace(score, item_indices=tuple(range(len(score.per_item))))
    order = ExportOrder(recipe, str(tmp_path / "out"), answers=StoredAnswers((words,), (kept,)))
    done = merge_to_disk(order)
    assert "scored again from disk, 12 items of the search split: words 12 of 12 the same" in done.verified
    wrong = replace(kept, per_item=tuple(1.0 - value for value in kept.per_item), margins=())
    other = replace(order, folder=str(tmp_path / "other"), answers=StoredAnswers((words,), (wrong,)))
    with pytest.raises(ExportError, match="answers other than the candidate did: words 0 of 12 the same"):
        merge_to_disk(other)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    changed = replace(order, folder=str(tmp_path / "third"),
                      answers=StoredAnswers((words,), (replace(kept, item_set="older"),)))  # fmt: skip
    assert "not scored again: the items of words are no longer those" in merge_to_disk(changed).verified
