"""How far generated answers are from the reference: a graded signal where a metric only says right or wrong.

A greedy answer matches the reference exactly if, the reference being read token by token, each of its tokens
is likelier than all others.  So the least lead of a token says how right or wrong an item is, as the margin
of a multiple-choice item does, and changes as smoothly with the weights.  Reading references takes a pass
over the prompts; long ones, which answers are not expected to repeat, are not read.

Shapes: n asked items of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.inference.language_model import InMemoryModel
from evaluators.lm_eval.question_set import GENERATIONS, Part, Selection
from evaluators.lm_eval.tasks.task_questions import Question, Subtask

METRIC = "exact_match"
MOST_TOKENS = 16  # of a reference
MOST_CONTRADICTED = 0.25  # of the items: with more, leads say nothing of the marks
LEAST = 0.005  # of a margin, in nats: what the mark says where the lead says the opposite


def reference_margins(
    subtask: Subtask, part: Part, marks: Sequence[float], selection: Selection, model: InMemoryModel
) -> NDArray[np.float32] | None:
    """Returns each item's margin, with its mark's sign, shape [n]; None where references tell nothing.

    That is so where answers are drawn or compared with several texts, and where references are long.

    Args:
        subtask: The task.
        part: What was asked of it.
        marks: 1 where the answer is right, 0 where it is wrong.
        selection: What was asked, of this model last.
        model: Whose answers are marked.
    """
    if GENERATIONS[0] not in part.spans:
        return None
    found = [_reference(subtask.task, question) for question in part.questions]
    pairs = [one for one in found if one is not None]
    if len(pairs) < len(found):
        return None
    plan = selection.reference_plan(part, pairs, model)
    if plan.longest > MOST_TOKENS:
        return None
    return margins_by(plan.least_leads(model.network), marks)


def _reference(task: Any, question: Question) -> tuple[str, str] | None:  # noqa: ANN401 - lm-eval's task
    """Returns an item's prompt and reference; None where there are more of either, or answers are drawn."""
    if len(question.requests) != 1 or question.requests[0].repeats != 1:
        return None
    prompt, settings = question.requests[0].args[:2]
    target = task.doc_to_target(question.item)
    drawn = settings.get("do_sample") or float(settings.get("temperature") or 0.0) > 0
    if drawn or not isinstance(target, str) or not target.strip():
        return None
    return prompt, f"{task.config.target_delimiter}{target}"


def margins_by(leads_n: NDArray[np.float64], marks: Sequence[float]) -> NDArray[np.float32] | None:
    """Returns margins with the marks' signs, shape [n]; None where leads and marks contradict each other.

    An answer may be right in other words, or go on where the reference ends.

    Args:
        leads_n: The least lead of each reference's tokens, in nats.
        marks: 1 where the answer is right, 0 where it is wrong.
    """
    if not set(marks) <= {0.0, 1.0}:
        return None
    right_n = np.array(marks) > 0
    agree_n = (leads_n > 0) == right_n
    if (~agree_n).mean() > MOST_CONTRADICTED:
        return None
    margins_n = np.where(agree_n, leads_n, np.where(right_n, LEAST, -LEAST))
    return np.asarray(margins_n, dtype=np.float32)
