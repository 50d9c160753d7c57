"""Judges of what a model says: length, language, refusals, a user's function, an address.

Each gets prompts and the model's answers, and returns one number per item; the score is their mean.
"""

from __future__ import annotations

import importlib
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from evaluators.benchmark import Benchmark
from evaluators.errors import BadScoreError, EvaluationError
from evaluators.fingerprints.code_origin import version_of
from evaluators.fingerprints.code_references import UnrepeatableError
from evaluators.fingerprints.values import fingerprint_of, unrepeatable_mark
from evaluators.permissions import check_judge

Judge = Callable[[Sequence[str], Sequence[str], Any], list[float]]
"""From prompts, answers and the model that gave them to one number per item."""
SECONDS = 120.0  # that an address has to answer for one batch
BATCH = 64
_log = logging.getLogger(__name__)

# How refusals begin in English; the list is short on purpose, as every entry costs false alarms.
_REFUSAL = re.compile(
    r"\b(i('m| am) (sorry|unable|not able)|i (can ?not|can't|won't|will not|must decline|am not going to)"
    r"|as an ai\b|i apologi[sz]e\b|(it is|it's|that would be) (not appropriate|inappropriate|unethical))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """One kind of judge.

    Attributes:
        metric: What its numbers are called.
        higher_is_better: Unless the benchmark says otherwise.
        build: Makes the judge; refuses what cannot be asked.
        marking: What else its numbers depend on, beside the benchmark's settings and this program.
    """

    metric: str
    higher_is_better: bool
    build: Callable[[Benchmark], Judge]
    marking: Callable[[Benchmark], str] = lambda _: ""


def _lengths(_: Benchmark) -> Judge:
    def judge(prompts: Sequence[str], answers: Sequence[str], asked: Any) -> list[float]:  # noqa: ANN401, ARG001
        return [float(len(asked.tokenizer.encode(answer, add_special_tokens=False))) for answer in answers]

    return judge


def _languages(benchmark: Benchmark) -> Judge:
    wanted = benchmark.language or ""
    known = _identifier().labels
    if wanted not in known:
        raise EvaluationError(
            "language", f"{wanted!r} is no language code", f"use one of: {', '.join(sorted(map(str, known)))}"
        )

    def judge(prompts: Sequence[str], answers: Sequence[str], asked: Any) -> list[float]:  # noqa: ANN401, ARG001
        return [float(_language(answer) == wanted) for answer in answers]

    return judge


def _language(text: str) -> str | None:
    """Returns the language of a text; none where it has no letters."""
    if not any(character.isalpha() for character in text):
        return None
    return str(_identifier().classify(text)[0])


@cache
def _identifier() -> Any:  # noqa: ANN401 - py3langid has no types
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loads a model of 4 MB

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _refusals(_: Benchmark) -> Judge:
    def judge(prompts: Sequence[str], answers: Sequence[str], asked: Any) -> list[float]:  # noqa: ANN401, ARG001
        return [float(_REFUSAL.search(answer[:400].replace("’", "'")) is not None) for answer in answers]

    return judge


def _callable(benchmark: Benchmark) -> Judge:
    name, found = benchmark.judge or "", _function(benchmark)

    def judge(prompts: Sequence[str], answers: Sequence[str], asked: Any) -> list[float]:  # noqa: ANN401, ARG001
        try:
            given = found(list(prompts), list(answers))
        except Exception as error:
            detail = f"{name} raised {type(error).__name__}: {error}"
            raise EvaluationError("judge", detail, "mend the judge") from error
        return _numbers(name, given, len(answers))

    return judge


def _function(benchmark: Benchmark) -> Callable[[list[str], list[str]], object]:
    name = benchmark.judge or ""
    check_judge(name)
    module, _, function = name.partition(":")
    try:
        found: Callable[[list[str], list[str]], object] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise EvaluationError(
            "judge", f"{name} cannot be imported: {error}", "install it on the workers"
        ) from error
    return found


def _function_marking(benchmark: Benchmark) -> str:
    """Returns the fingerprint of a user's function; one that equals no other where it has none."""
    try:
        return fingerprint_of(_function(benchmark))
    except UnrepeatableError as error:
        _log.warning("scores on %s are not reused in other experiments: %s", benchmark.name, error)
        return unrepeatable_mark()


def _address_marking(_: Benchmark) -> str:
    """Returns a fingerprint that equals no other: what answers at an address may change unseen."""
    return unrepeatable_mark()


def _language_marking(_: Benchmark) -> str:
    return f"py3langid={version_of('py3langid')}"


def _address(benchmark: Benchmark) -> Judge:
    url = benchmark.judge or ""
    check_judge(url)

    def judge(prompts: Sequence[str], answers: Sequence[str], asked: Any) -> list[float]:  # noqa: ANN401, ARG001
        found: list[float] = []
        for start in range(0, len(answers), BATCH):
            pairs = zip(prompts[start : start + BATCH], answers[start : start + BATCH], strict=True)
            items = [{"prompt": prompt, "answer": answer} for prompt, answer in pairs]
            try:
                reply = httpx.post(url, json={"items": items}, timeout=SECONDS, follow_redirects=False)
                reply.raise_for_status()
                given = reply.json()["scores"]
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                detail = f"{url} gave no scores: {type(error).__name__}: {error}"
                remedy = 'see that it answers {"scores": [...]} to {"items": [{"prompt", "answer"}]}'
                raise EvaluationError("judge", detail, remedy) from error
            found += _numbers(url, given, len(items))
        return found

    return judge


def _numbers(name: str, given: object, count: int) -> list[float]:
    try:
        numbers = [float(value) for value in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            "judge", f"{name} gave {given!r:.200}", "return one number per answer"
        ) from error
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise BadScoreError(
            "judge",
            f"{name} gave {len(numbers)} numbers for {count} answers",
            "return one finite number each",
        )
    return numbers


ANSWER_KINDS: Mapping[str, AnswerKind] = {
    "output_length": AnswerKind("tokens", False, _lengths),
    "language": AnswerKind("share_in_language", True, _languages, _language_marking),
    "refusals": AnswerKind("refusal_rate", False, _refusals),
    "python": AnswerKind("judge", True, _callable, _function_marking),
    "http": AnswerKind("judge", True, _address, _address_marking),
}
