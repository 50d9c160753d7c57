"""Single items put to a model: what it reads, what it may answer, and what it answers.

Here "task" is lm-eval's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.benchmark import Benchmark
from evaluators.conditions import STANDARD
from evaluators.inference.language_model import InMemoryModel
from evaluators.lm_eval.asked_sets import AskedSets
from evaluators.lm_eval.tasks.task_building import build_benchmark
from evaluators.lm_eval.tasks.task_questions import Question, Subtask
from evaluators.splits import Split


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """What one model makes of one item.

    Attributes:
        prompt: As the model reads it; "" where a text is scored as a whole.
        continuations: What is compared, or the text that is scored; () where the model writes.
        reference: What the task takes for right; None where it has no such thing.
        text: What the model wrote; "" where continuations are compared.
        scores: The continuations' log-likelihoods in nats; () where the model writes.
    """

    prompt: str
    continuations: tuple[str, ...]
    reference: str | None
    text: str
    scores: tuple[float, ...]


class ItemAnswers:
    """A benchmark whose items are asked one by one, of one model after the other.

    Args:
        benchmark: An lm-eval task or group.
        instruct: A parent's name says that it was trained on instructions.

    Raises:
        EvaluationError: It cannot be built.
    """

    def __init__(self, benchmark: Benchmark, *, instruct: bool = False) -> None:
        self._built = build_benchmark(benchmark)
        self._asked = AskedSets((self._built,), instruct=instruct)

    def of(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        split: Split,
        indices: Sequence[int],
        *,
        batch_size: int = 1,
    ) -> list[ItemAnswer]:
        """Returns a model's answers to these items of a split, in order, asked as a search asks them.

        Raises:
            EvaluationError: There are no such items, or they cannot be put to this model.
        """
        questions = self._asked.of(split, STANDARD, tokenizer).questions
        selection = questions.selection((tuple(indices),))
        selection.ask(InMemoryModel(model, tokenizer, batch_size=batch_size))
        found = []
        for subtask, part in zip(self._built.subtasks, selection.parts[0], strict=True):
            selection.hand_out(part)
            found += [_answered(subtask, question) for question in part.questions]
        return found


def _answered(subtask: Subtask, question: Question) -> ItemAnswer:
    kind = question.requests[0].request_type
    answers = [request.resps[0] for request in question.requests]
    reference = subtask.target_of(question.item)
    if kind == "generate_until":
        return ItemAnswer(str(question.requests[0].args[0]), (), reference, str(answers[0]), ())
    whole = kind == "loglikelihood_rolling"
    texts = tuple(str(request.args[0 if whole else 1]) for request in question.requests)
    prompt = "" if whole else str(question.requests[0].args[0])
    return ItemAnswer(prompt, texts, reference, "", tuple(map(_likelihood, answers)))


def _likelihood(answer: Any) -> float:  # noqa: ANN401 - lm-eval's: a pair, or the number alone
    return float(answer[0] if isinstance(answer, tuple) else answer)
