"""What is asked on a split: built once per chat template, and how each answer is marked.

Here "task" is lm-eval's word.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from lm_eval.api.task import ConfigurableTask
from lm_eval.filters.selection import TakeFirstFilter
from transformers import PreTrainedTokenizerBase

from evaluators.conditions import Conditions
from evaluators.inference.chat_format import ChatFormat, chat_format
from evaluators.item_set import ItemSet
from evaluators.lm_eval.choice_marks import CHOICE_LENGTHS, ChoiceMarks
from evaluators.lm_eval.marking_fingerprint import marking_fingerprint
from evaluators.lm_eval.question_set import QuestionSet
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, is_mean
from evaluators.lm_eval.tasks.task_filters import filters_of
from evaluators.lm_eval.tasks.task_questions import Question, Subtask
from evaluators.splits import Split

_MARKING = ("process_results", "construct_requests", "doc_to_choice", "doc_to_target", "apply_filters")
Forms = Sequence[Sequence[ChatFormat | None]]  # per benchmark and task


@dataclass(frozen=True, slots=True)
class AskedSet:
    """One split's questions, what is known of them, and per benchmark and task how they are marked."""

    questions: QuestionSet
    facts: tuple[ItemSet, ...]
    marks: Sequence[Sequence[ChoiceMarks | None]]


class AskedSets:
    """All that was asked so far, per split, conditions and chat templates.

    Args:
        built: The benchmarks.
        instruct: A parent's name says that it was trained on instructions.
    """

    def __init__(self, built: Sequence[BuiltBenchmark], *, instruct: bool) -> None:
        self._built, self._instruct = built, instruct
        self._markings = [marking_fingerprint(one) for one in built]
        self._known: dict[Hashable, AskedSet] = {}

    def of(self, split: Split, conditions: Conditions, tokenizer: PreTrainedTokenizerBase | None) -> AskedSet:
        """Returns what is asked of models with this tokenizer; prompts are rendered when they are new.

        Raises:
            EvaluationError: A chat template cannot be applied.
        """
        forms = [
            [form_of(subtask, tokenizer, instruct=self._instruct) for subtask in one.subtasks]
            for one in self._built
        ]
        keys = tuple(form.key if form else None for of_benchmark in forms for form in of_benchmark)
        key = split, conditions, keys
        if key not in self._known:
            self._known[key] = self._new(split, conditions, forms)
        return self._known[key]

    def _new(self, split: Split, conditions: Conditions, forms: Forms) -> AskedSet:
        asked = [
            [
                task.questions(split, conditions, form)
                for task, form in zip(built.subtasks, of_benchmark, strict=True)
            ]
            for built, of_benchmark in zip(self._built, forms, strict=True)
        ]
        questions = QuestionSet(asked)
        moved = [any(subtask.can_feel(conditions) for subtask in one.subtasks) for one in self._built]
        names = [built.benchmark.name for built in self._built]
        prints = questions.fingerprints(self._markings)
        drawn = [any(subtask.samples for subtask in one.subtasks) for one in self._built]
        facts = zip(questions.sizes, prints, map(is_mean, self._built), moved, names, drawn, strict=True)
        marks = [
            [_marks(built, *one) for one in zip(built.subtasks, of_tasks, strict=True)]
            for built, of_tasks in zip(self._built, asked, strict=True)
        ]
        return AskedSet(questions, tuple(ItemSet(*each) for each in facts), marks)


def form_of(
    subtask: Subtask, tokenizer: PreTrainedTokenizerBase | None, *, instruct: bool
) -> ChatFormat | None:
    """Returns how a task is put to models with this tokenizer; None where its prompts are plain text."""
    return chat_format(subtask.chat, tokenizer, generates=subtask.generates, instruct=instruct)


def _marks(built: BuiltBenchmark, subtask: Subtask, questions: Sequence[Question]) -> ChoiceMarks | None:
    """Returns how choices are marked in arrays; None where only lm-eval itself can tell.

    Its own code, one answer per choice, no template of a user's that is a function: then a mark follows
    from which choice is likeliest, and from nothing else.
    """
    task, config = subtask.task, subtask.task.config
    own = all(getattr(type(task), name) is getattr(ConfigurableTask, name) for name in _MARKING)
    functions = (config.process_results, config.doc_to_choice, config.doc_to_target)
    chosen = next(one for one in filters_of(task) if one.name == built.filter)
    if (
        own
        and config.doc_to_image is None
        and config.output_type == "multiple_choice"
        and built.metric in CHOICE_LENGTHS
        and not any(map(callable, functions))
        and not task.multiple_input
        and task.prompt is None
        and "acc_mutual_info" not in task.aggregation()  # asks each choice twice
        and config.repeats == 1
        and [type(make()) for make in chosen.filters] == [TakeFirstFilter]
    ):
        return ChoiceMarks(task, built.metric, questions)
    return None
