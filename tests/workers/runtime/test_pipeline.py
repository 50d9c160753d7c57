from __future__ import annotations

import dataclasses
from pathlib import Path
from uuid import uuid4

import pytest
import torch

from evaluators import Benchmark, Race
from search_spaces import Recipe
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import exploding_recipe, linear_recipe, parent_at, stacking_recipe
from workers.errors import PreparationError
from workers.protocol.messages import Assignment, Failed, Scored, Workload
from workers.runtime.pipeline import Pipeline


@pytest.fixture
def pipeline(workload: Workload) -> Pipeline:
    return Pipeline(workload, name="worker 7")


@pytest.fixture
def average(tiny_parents: dict[str, Path]) -> Recipe:
    return linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))


def assign(recipe: Recipe, **fields: object) -> Assignment:
    return Assignment(uuid4(), 0, recipe, **fields)  # type: ignore[arg-type]


def test_an_assignment_comes_back_scored(pipeline: Pipeline, average: Recipe) -> None:
    assignment = assign(average, attempt=2)
    outcome = pipeline.run(assignment)
    assert isinstance(outcome, Scored)
    assert (outcome.candidate, outcome.attempt, outcome.worker) == (assignment.candidate, 2, "worker 7")
    (score,) = outcome.scores
    assert score.benchmark == "words"
    assert len(score.per_item) == 12
    assert outcome.merge_seconds > 0
    assert outcome.evaluate_seconds > 0


def test_the_same_recipe_scores_the_same_whatever_came_between(
    pipeline: Pipeline, average: Recipe, tiny_parents: dict[str, Path]
) -> None:
    left, right = tiny_parents["left"], tiny_parents["right"]
    others = [stacking_recipe((left, 0), (right, 1), (right, 1)), exploding_recipe(left)]
    first = pipeline.run(assign(average))
    for other in others:
        pipeline.run(assign(other))
    again = pipeline.run(assign(average))
    assert isinstance(first, Scored)
    assert isinstance(again, Scored)
    assert first.scores == again.scores


def test_scores_come_from_the_split_that_is_asked_for(pipeline: Pipeline, average: Recipe) -> None:
    outcomes = [pipeline.run(assign(average, split=split)) for split in ("search", "selection", "test")]
    items = [outcome.scores[0].per_item for outcome in outcomes if isinstance(outcome, Scored)]
    assert len(items) == 3


def test_a_model_whose_logits_are_no_numbers_fails_with_bad_score(
    pipeline: Pipeline, tiny_parents: dict[str, Path]
) -> None:
    outcome = pipeline.run(assign(exploding_recipe(tiny_parents["left"])))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "bad_score"
    assert not outcome.failure.retryable
    assert outcome.failure.remedy


def test_weights_that_overflow_fail_with_the_tensor_named(
    pipeline: Pipeline, tiny_parents: dict[str, Path]
) -> None:
    recipe = linear_recipe([tiny_parents["left"]], (1e30,), out_dtype="float16")
    outcome = pipeline.run(assign(recipe))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "merge_failed"
    assert "overflow float16" in outcome.failure.cause
    assert "Traceback" in outcome.failure.excerpt


def test_a_merge_that_finds_no_memory_ends_as_out_of_memory_and_may_be_tried_again(
    pipeline: Pipeline, average: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("workers.runtime.in_place_merger.merged_config", lambda *_: torch.empty(10**15))
        outcome = pipeline.run(assign(average))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.code, outcome.failure.retryable) == ("oom", True)
    assert isinstance(pipeline.run(assign(average)), Scored)


def test_a_recipe_over_strangers_fails_and_the_pipeline_goes_on(
    pipeline: Pipeline, average: Recipe, tmp_path: Path
) -> None:
    stranger = save_tiny_model(tmp_path / "stranger", 5)
    outcome = pipeline.run(assign(linear_recipe([stranger], (1.0,))))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "parents_differ"
    assert str(stranger) in outcome.failure.cause
    assert isinstance(pipeline.run(assign(average)), Scored)


def test_a_parent_changed_behind_our_back_fails_its_candidates_only(
    workload: Workload, average: Recipe, tmp_path: Path
) -> None:
    odd = save_tiny_model(tmp_path / "odd", 5)
    pipeline = Pipeline(dataclasses.replace(workload, parents=(*workload.parents, parent_at(odd))))
    (odd / "tokenizer.json").unlink()
    (odd / "tokenizer_config.json").write_text("{")
    outcome = pipeline.run(assign(linear_recipe([odd], (1.0,))))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "bad_checkpoint"
    assert "tokenizer" in outcome.failure.cause
    assert isinstance(pipeline.run(assign(average)), Scored)


def test_a_workload_that_cannot_work_is_refused_at_once(workload: Workload, words: Benchmark) -> None:
    unknown_task = words.model_copy(update={"task": "no_such_task"})
    wrong = {
        "there is no folder /nowhere": dataclasses.replace(workload, parents=(parent_at(Path("/nowhere")),)),
        "no_such_task": dataclasses.replace(workload, benchmarks=(unknown_task,)),
        "unknown 'oracle'": dataclasses.replace(workload, evaluator="oracle"),
    }
    for message, broken in wrong.items():
        with pytest.raises(PreparationError, match=message) as caught:
            Pipeline(broken)
        assert caught.value.remedy


def test_other_judges_sit_beside_the_tasks(
    workload: Workload, average: Recipe, tiny_parents: dict[str, Path], words: Benchmark
) -> None:
    left = tiny_parents["left"]
    flips = Benchmark(
        name="flips",
        kind="negative_flips",
        task=words.task,
        include_path=words.include_path,
        parent=left.name,
    )
    asked = (words, flips, Benchmark(name="layers", kind="depth"))
    pipeline = Pipeline(dataclasses.replace(workload, benchmarks=asked, evaluator="composite"))
    own = pipeline.run(assign(linear_recipe([left], (1.0,))))
    assert isinstance(own, Scored), own
    assert [score.value for score in own.scores[1:]] == [0.0, 2.0]
    mixed = pipeline.run(assign(average))
    assert isinstance(mixed, Scored)
    lost = [
        float(before > after)
        for before, after in zip(own.scores[0].per_item, mixed.scores[0].per_item, strict=True)
    ]
    assert list(mixed.scores[1].per_item) == lost
    stranger = flips.model_copy(update={"parent": "unknown"})
    pipeline = Pipeline(dataclasses.replace(workload, benchmarks=(words, stranger), evaluator="composite"))
    refused = pipeline.run(assign(average))
    assert isinstance(refused, Failed)
    assert "unknown names 0 of the parents" in refused.failure.cause


def test_some_items_and_races_go_through_the_model(pipeline: Pipeline, average: Recipe) -> None:
    whole = pipeline.run(assign(average))
    assert isinstance(whole, Scored)
    (full,) = whole.scores
    part = pipeline.run(assign(average, items=((1, 4, 7),)))
    assert isinstance(part, Scored)
    assert part.scores[0].per_item == tuple(full.per_item[place] for place in (1, 4, 7))
    assert part.asked == 3
    rest = pipeline.run(assign(average, known=part.scores))
    assert isinstance(rest, Scored)
    assert rest.asked == 9
    assert rest.scores[0].per_item == full.per_item
    rival = Race(((2.0,) * 12,), (1.0,), batch=4)  # better than anybody can be
    lost = pipeline.run(assign(average, race=rival))
    assert isinstance(lost, Scored)
    assert lost.pruned
    assert lost.asked in (4, 8)
