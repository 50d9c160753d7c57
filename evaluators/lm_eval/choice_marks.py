"""Marks of multiple-choice answers, whole arrays at a time.  Here "task" and "metric" are lm-eval's words.

lm-eval marks one question after the other, and works out for each candidate anew which choices are
right.  A mark depends on nothing but which choice comes first, so lm-eval is asked once per choice, and
candidates' log-likelihoods are only compared.

Shapes: Q questions of a task, n of them asked, C the most choices of a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.lm_eval.tasks.task_questions import Question, Task

Rows = NDArray[np.int64]

# What a choice's log-likelihood is divided by before choices are compared, by metric.
CHOICE_LENGTHS: Mapping[str, Callable[[str], float]] = {
    "acc": lambda _: 1.0,
    "acc_norm": lambda choice: float(len(choice)),
    "acc_bytes": lambda choice: float(len(choice.encode("utf-8"))),
}


class ChoiceMarks:
    """One metric's marks on the questions of one task.

    Args:
        task: Whose own `process_results` gives marks, and looks at nothing but which choice is first.
        metric: One of `CHOICE_LENGTHS`.
        questions: All of the task, each with one request per choice.
    """

    def __init__(self, task: Task, metric: str, questions: Sequence[Question]) -> None:
        self._task, self._metric, self._questions = task, metric, questions
        counts_Q = np.array([len(question.requests) for question in questions], dtype=np.int64)
        self._asked_QC = np.arange(counts_Q.max(initial=0)) < counts_Q[:, None]
        self._lengths_QC = np.ones(self._asked_QC.shape)
        self._marks_QC = np.zeros(self._asked_QC.shape)
        self._known_Q = np.zeros(len(questions), dtype=bool)

    def of(self, rows_n: Rows, totals: NDArray[np.float64]) -> list[float]:
        """Returns the metric on each asked question, bit by bit what lm-eval gives.

        Args:
            rows_n: Indices of the asked questions.
            totals: The log-likelihoods of their choices, one question after the other.
        """
        weighed_nC = self._weighed(rows_n, totals)
        found: list[float] = self._marks_QC[rows_n, weighed_nC.argmax(axis=1)].tolist()
        return found

    def margins(self, rows_n: Rows, totals: NDArray[np.float64]) -> NDArray[np.float32]:
        """Returns by how much the best right choice leads the best wrong one, shape [n].

        Positive where the question is marked right, and 0 where two choices tie, or where all choices
        are right or all are wrong, whatever the model says.

        Args:
            rows_n: Indices of the asked questions.
            totals: The log-likelihoods of their choices, as `of` takes them.
        """
        weighed_nC = self._weighed(rows_n, totals)
        right_nC = self._marks_QC[rows_n] > 0
        right_n = np.where(right_nC, weighed_nC, -np.inf).max(axis=1)
        wrong_n = np.where(right_nC, -np.inf, weighed_nC).max(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            # What is told of a candidate must be what is told after a restart: the store keeps float32.
            margins_n: NDArray[np.float32] = (right_n - wrong_n).astype(np.float32)
        one_sided_n = ~right_nC.any(axis=1) | (right_nC | ~self._asked_QC[rows_n]).all(axis=1)
        margins_n[one_sided_n] = 0.0
        return margins_n

    def _weighed(self, rows_n: Rows, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns what choices are compared by, shape [n, C]; -inf where a question has no such choice."""
        for row in rows_n[~self._known_Q[rows_n]].tolist():
            self._learn(row)
        asked_nC = self._asked_QC[rows_n]
        weighed_nC = np.full(asked_nC.shape, -np.inf)
        weighed_nC[asked_nC] = totals
        with np.errstate(divide="ignore", invalid="ignore"):  # an empty choice
            weighed_nC /= self._lengths_QC[rows_n]
        return weighed_nC

    def _learn(self, row: int) -> None:
        """Asks lm-eval what it would give for each choice, were that one first."""
        question = self._questions[row]
        indices = range(len(question.requests))
        for index in indices:
            answers = [(0.0 if other == index else -1.0, False) for other in indices]
            self._marks_QC[row, index] = self._task.process_results(question.item, answers)[self._metric]
        measure = CHOICE_LENGTHS[self._metric]
        choices = self._task.doc_to_choice(question.item)
        self._lengths_QC[row, : len(choices)] = [measure(choice) for choice in choices]
        self._known_Q[row] = True
