"""Answers to lm-eval's tasks that a model from a local folder compares with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluators.benchmark import Benchmark
from evaluators.evaluator import BenchmarkFacts
from evaluators.item_set import ItemSet
from evaluators.judges.judge_runner import Network, Tokenizer
from evaluators.judges.local_judge import Pair
from evaluators.judges.preference import METRIC, Preference
from evaluators.lm_eval.answered_tasks import AnsweredTask
from evaluators.lm_eval.benchmark_facts import facts_of
from evaluators.scores import Score, mean_score
from evaluators.splits import Split


class JudgedTask:
    """How far answers are preferred to the task's own, or to a parent's; the score is the mean over items.

    Args:
        benchmark: With `task` and `judge`.
        instruct: A parent's name says that it was trained on instructions.

    Raises:
        EvaluationError: The task cannot be asked or judged, or there is no such judge.
    """

    def __init__(self, benchmark: Benchmark, *, instruct: bool = False) -> None:
        self._higher = benchmark.higher_is_better(otherwise=True)
        self._name = benchmark.name
        self.preference = Preference(benchmark)
        self._task = AnsweredTask(task_of(benchmark), instruct=instruct)

    def facts(self) -> BenchmarkFacts:
        """Returns how many items there are."""
        return as_judged(facts_of(self._task.built), higher_is_better=self._higher)

    def item_set(self, split: Split, tokenizer: Tokenizer | None = None) -> ItemSet:
        """Returns what is asked on a split, of models with this tokenizer."""
        found = self._task.item_set(split, tokenizer)
        marking = self.preference.marking(split, ())  # the references are among the items
        return replace(found, fingerprint=f"{found.fingerprint} judged {marking}", additive=True, moved=False)

    def refer(self, model: Network, tokenizer: Tokenizer, split: Split, *, batch_size: int) -> None:
        """Takes in what the parent answers."""
        everything = range(self._task.item_set(split, tokenizer).size)
        found = self._task.answers(model, tokenizer, split, everything, batch_size=batch_size)
        self.preference.refer(split, [one.answer for one in found])

    def score(
        self, model: Network, tokenizer: Tokenizer, split: Split, indices: Sequence[int], *, batch_size: int
    ) -> Score:
        """Has the items answered and the answers compared."""
        found = self._task.answers(model, tokenizer, split, indices, batch_size=batch_size)
        others = [one.reference for one in found]
        if self.preference.parent is not None:
            parents = self.preference.others(split, ())
            others = [parents[index] for index in indices]
        pairs = [Pair(one.question, one.answer, other) for one, other in zip(found, others, strict=True)]
        values = self.preference.of(pairs, model.device)
        item_set = self.item_set(split, tokenizer)
        like = Score(self._name, METRIC, 0.0, 0.0, self._higher, item_set=item_set.fingerprint)
        return mean_score(like, dict(zip(indices, values, strict=True)), size=item_set.size)


def task_of(benchmark: Benchmark) -> Benchmark:
    """Returns the task that is asked, as lm-eval would mark it."""
    own = {"kind": "lm_eval", "direction": None, "parent": None, "judge": None, "rubric": None}
    return benchmark.model_copy(update=own)


def as_judged(facts: BenchmarkFacts, *, higher_is_better: bool) -> BenchmarkFacts:
    """Returns what is known of a task as it is of its judged answers."""
    return replace(facts, metrics=(METRIC,), higher_is_better=higher_is_better, additive=True)
