"""Prompts that people put to merged models and parents."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Recipe
from tests.workers.recipes import linear_recipe
from workers.errors import PromptError
from workers.pools.inline_pool import InlinePool
from workers.protocol.messages import Workload
from workers.protocol.prompt_orders import (
    PromptAnswers,
    PromptedModel,
    PromptOrder,
    SampleAnswers,
    SampleOrder,
)


def order(*recipes: Recipe, **options: object) -> PromptOrder:
    models = tuple(PromptedModel(f"model {n}", recipe) for n, recipe in enumerate(recipes))
    return PromptOrder(models, "the cat", max_tokens=4, **options)  # type: ignore[arg-type]


@pytest.fixture
def average(tiny_parents: dict[str, Path]) -> Recipe:
    return linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))


@pytest.fixture
def left(tiny_parents: dict[str, Path]) -> Recipe:
    return linear_recipe([tiny_parents["left"], tiny_parents["right"]], (1.0, 0.0))


def test_each_model_answers_with_its_own_weights_and_the_same_way_every_time(
    average: Recipe, left: Recipe
) -> None:
    pool = InlinePool()
    found = pool.run_job(order(average, left, average))
    assert isinstance(found, PromptAnswers)
    first, other, again = found.entries
    assert (first.label, first.prompt) == ("model 0", "the cat")
    assert 0 < first.tokens <= 4
    assert first.text == again.text != other.text


def test_a_prompt_cannot_be_a_message_where_there_is_no_chat_template(average: Recipe) -> None:
    with pytest.raises(PromptError, match="no chat template"):
        InlinePool().run_job(order(average, chat="on"))


def test_items_are_answered_with_prompts_as_the_model_saw_them(average: Recipe, workload: Workload) -> None:
    order = SampleOrder(average, workload.parents, workload.benchmarks, count=3)
    found = InlinePool().run_job(order)
    assert isinstance(found, SampleAnswers)
    ((name, answers),) = found.entries
    assert name == "words"
    assert [answer.item for answer in answers] == [0, 1, 2]
    chosen = InlinePool().run_job(
        SampleOrder(average, workload.parents, workload.benchmarks, items=(2, 1, 10**6))
    )
    assert isinstance(chosen, SampleAnswers)
    assert {answer.item: answer for answer in chosen.entries[0][1]} == {
        answer.item: answer for answer in answers[1:]
    }
    with pytest.raises(PromptError, match="none of"):
        InlinePool().run_job(SampleOrder(average, workload.parents, workload.benchmarks, items=(10**6,)))
    for answer in answers:
        assert answer.prompt
        assert answer.text in [text for text, _ in answer.choices]
