"""Answers to some items, to be read by people: prompts as they were put, and what came back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evaluators.lm_eval.question_set import Part, Selection
from evaluators.lm_eval.tasks.task_questions import Question, Subtask
from evaluators.task_facts import ShownAnswer

LONGEST = 20_000  # letters of a text


def shown_answers(subtask: Subtask, part: Part, selection: Selection, *, first: int) -> Iterator[ShownAnswer]:
    """Yields what one task's questions were answered with; `first` is the place of the task's first item."""
    selection.hand_out(part)
    for row, question in zip(part.rows.tolist(), part.questions, strict=True):
        yield _shown(subtask, question, first + row)


def _shown(subtask: Subtask, question: Question, item: int) -> ShownAnswer:
    kind, target = question.requests[0].request_type, str(subtask.target_of(question.item))
    if kind == "generate_until":
        request = question.requests[0]
        return ShownAnswer(item, _cut(request.args[0]), _cut(request.resps[0]), (), _cut(target))
    whole = kind == "loglikelihood_rolling"
    choices = tuple(
        (_cut(request.args[0 if whole else 1]), _likelihood(request.resps[0]))
        for request in question.requests
    )
    prompt = "" if whole else _cut(question.requests[0].args[0])
    best = max(choices, key=lambda choice: choice[1])[0]
    return ShownAnswer(item, prompt, best, choices, _cut(target))


def _likelihood(answer: Any) -> float:  # noqa: ANN401 - lm-eval's
    return float(answer[0] if isinstance(answer, tuple) else answer)


def _cut(text: object) -> str:
    said = str(text)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} …"
