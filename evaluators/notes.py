"""Notes: what happened while items were asked, beside the score.  Here "filter" is lm-eval's word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from evaluators.generation import DEFAULT_LENGTH, LENGTH_NAMES
from evaluators.task_building import BuiltBenchmark
from evaluators.task_questions import Question

NOTHING_FOUND = "[invalid]"  # what lm-eval's extracting filters give where nothing matches


def notes_of(
    built: BuiltBenchmark, questions: Sequence[tuple[Question, ...]], tokenizer: PreTrainedTokenizerBase
) -> tuple[tuple[str, int], ...]:
    """Returns how many items were truncated or left without an answer, zeros left out.

    An answer counts as truncated where it is as long as it may be: had it met a stop text, or ended
    by itself, it would be shorter.
    """
    asked = [
        request
        for of_task in questions
        for question in of_task
        for request in question.requests
        if request.request_type == "generate_until"
    ]
    counts = {
        "truncated": sum(_is_truncated(request, tokenizer) for request in asked),
        "unextracted": sum(_is_empty(request.filtered_resps.get(built.filter)) for request in asked),
    }
    return tuple((name, count) for name, count in counts.items() if count)


def _is_truncated(request: Any, tokenizer: PreTrainedTokenizerBase) -> bool:  # noqa: ANN401 - lm-eval's Instance
    settings: Mapping[str, Any] = request.args[1]
    given = (settings[name] for name in LENGTH_NAMES if settings.get(name) is not None)
    most = int(next(given, DEFAULT_LENGTH))
    texts = [text for text in request.resps if len(text) >= most // 2]  # a token has a letter, nearly always
    return any(len(tokenizer.encode(text, add_special_tokens=False)) >= most for text in texts)


def _is_empty(answer: object) -> bool:
    if isinstance(answer, list | tuple):
        return all(map(_is_empty, answer))
    return answer is None or (isinstance(answer, str) and answer.strip() in ("", NOTHING_FOUND))
