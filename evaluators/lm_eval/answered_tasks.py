"""Tasks whose answers are read by another judge than their metrics.  Here "task" is lm-eval's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.benchmark import Benchmark
from evaluators.conditions import STANDARD
from evaluators.errors import EvaluationError
from evaluators.inference.language_model import InMemoryModel
from evaluators.item_set import ItemSet
from evaluators.lm_eval.asked_sets import AskedSets
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, build_benchmark
from evaluators.lm_eval.tasks.task_questions import Subtask, foreign_code
from evaluators.splits import Split


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """An item's question, without examples or template, what the model wrote, and the task's own answer."""

    question: str
    answer: str
    reference: str


class AnsweredTask:
    """A task, or a group of some, that has models write.

    Args:
        benchmark: What is asked.
        instruct: A parent's name says that it was trained on instructions.

    Raises:
        EvaluationError: It cannot be asked, or its answers cannot be read alone.
    """

    def __init__(self, benchmark: Benchmark, *, instruct: bool = False) -> None:
        self.built = build_benchmark(benchmark)
        check_readable(self.built)
        self._asked = AskedSets((self.built,), instruct=instruct)

    def item_set(self, split: Split, tokenizer: PreTrainedTokenizerBase | None) -> ItemSet:
        """Returns what is asked of models with this tokenizer."""
        return self._asked.of(split, STANDARD, tokenizer).facts[0]

    def answers(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        indices: Sequence[int],
        *,
        batch_size: int,
    ) -> list[AnsweredItem]:
        """Returns what a model writes to some of the items, up to a stop text and without its reasoning."""
        questions = self._asked.of(split, STANDARD, tokenizer).questions
        selection = questions.selection((tuple(indices),))
        selection.ask(InMemoryModel(model, tokenizer, batch_size=batch_size))
        found = []
        for subtask, part in zip(self.built.subtasks, selection.parts[0], strict=True):
            selection.hand_out(part)
            found += [_answered(subtask, one.item, one.requests[0].resps[0]) for one in part.questions]
        return found


def check_readable(built: BuiltBenchmark) -> None:
    """Refuses tasks whose answers no text can be compared with.

    Raises:
        EvaluationError: Says why.
    """
    for subtask in built.subtasks:
        config = subtask.task.config
        if not subtask.generates or subtask.sees or config.repeats > 1:
            why = "asks about images" if subtask.sees else f"asks for {config.repeats} answers"
            why = why if subtask.generates else "does not have the model write"
            detail = f"{config.task} {why}, and a judge compares one text with another"
            raise EvaluationError("task", detail, "choose a task that has the model write one text")


def _answered(subtask: Subtask, item: object, answer: str) -> AnsweredItem:
    with foreign_code(subtask.task.config.task):
        question, target = subtask.task.doc_to_text(item), subtask.task.doc_to_target(item)
    right = target[0] if isinstance(target, list) and target else target
    return AnsweredItem(str(question), str(answer), str(right))
