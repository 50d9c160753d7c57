"""A language model from a local folder that compares two answers, whichever stands first.

It reads question and answers under a fixed rubric and is asked for one letter; how likely it finds each of
the two letters is the verdict.  Every pair is put in both orders, so that a liking for the first answer, or
for a letter, cancels out (Zheng et al., arXiv 2306.05685, section 3.4).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from evaluators.errors import BadScoreError, EvaluationError
from evaluators.inference.language_model import InMemoryModel
from evaluators.permissions import check_place

RUBRIC = """\
Compare two answers to the same question. The better answer is the one that is correct; of two that are \
equally correct, the one that says more clearly what was asked for. Neither the length of an answer nor its \
place makes it better."""
_FORM = """\
{rubric}

# Question
{question}

# Answer A
{first}

# Answer B
{second}

# Verdict
Write one letter, A or B: the better answer."""
_WEIGHTS, _SMALL = ".safetensors", (".json", ".jinja", ".model", ".txt")


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared: an answer with the reference, to one question."""

    question: str
    answer: str
    reference: str


class LocalJudge:
    """A judge whose weights are loaded when the first pair is compared, and kept; its tokenizer at once.

    Args:
        folder: Of a causal language model with its tokenizer; weights as safetensors.
        rubric: What makes an answer better.

    Raises:
        EvaluationError: The folder holds no such model, or the operator does not allow it.
    """

    def __init__(self, folder: Path, rubric: str | None) -> None:
        self._folder, self._rubric = folder.expanduser(), rubric or RUBRIC
        check_place("judge", self._folder)
        _check_files(self._folder)
        self._network: PreTrainedModel | None = None
        letters = [self._tokenizer.encode(self._letter(letter), add_special_tokens=False) for letter in "AB"]
        if letters[0] == letters[1]:
            detail = f"to the tokenizer in {folder} the letters A and B are the same"
            raise EvaluationError("judge", detail, "take a judge that knows them")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the judge's files and of all that it is told."""
        digest = hashlib.sha256(repr((self._rubric, _FORM)).encode())
        for path in sorted(self._folder.iterdir()):
            if path.suffix in (_WEIGHTS, *_SMALL):
                digest.update(path.name.encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def compare(self, pairs: Sequence[Pair], *, device: torch.device, batch_size: int) -> list[float]:
        """Returns, per pair, how far the answer is preferred to the reference: 0 to 1, over both orders.

        Raises:
            BadScoreError: The judge's logits are NaN.
            EvaluationError: The judge cannot be loaded, or a pair does not fit into what it reads.
        """
        asked = InMemoryModel(self._on(device), self._tokenizer, batch_size=batch_size)
        orders = [(pair.answer, pair.reference) for pair in pairs]
        orders += [(pair.reference, pair.answer) for pair in pairs]
        prompts = [
            self._prompt(pair.question, *order) for pair, order in zip([*pairs, *pairs], orders, strict=True)
        ]
        plan = asked.plan_continuations([(prompt, self._letter(one)) for prompt in prompts for one in "AB"])
        if any(plan.lost):
            detail = f"the judge in {self._folder} reads {asked.max_length} tokens, and a pair has more"
            raise EvaluationError("judge", detail, "lower new_tokens, or take a judge that reads more")
        totals = [total for total, _ in plan.answers(asked.network)]
        first = [_share(a, b) for a, b in zip(totals[::2], totals[1::2], strict=True)]
        count = len(pairs)
        return [(own + 1.0 - other) / 2 for own, other in zip(first[:count], first[count:], strict=True)]

    def _prompt(self, question: str, first: str, second: str) -> str:
        text = _FORM.format(rubric=self._rubric, question=question, first=first, second=second)
        if self._tokenizer.chat_template is None:
            return f"{text}\n\nThe better answer is"
        told = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        return str(told)

    def _letter(self, letter: str) -> str:
        return letter if self._tokenizer.chat_template is not None else f" {letter}"

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        loaded: PreTrainedTokenizerBase = self._loaded(AutoTokenizer)
        return loaded

    def _on(self, device: torch.device) -> PreTrainedModel:
        if self._network is None:
            loaded = self._loaded(AutoModelForCausalLM, dtype="auto", use_safetensors=True)
            self._network = loaded.to(device).eval()
        return self._network

    def _loaded(self, kind: Any, **options: Any) -> Any:  # noqa: ANN401 - transformers
        try:
            return kind.from_pretrained(
                self._folder, local_files_only=True, trust_remote_code=False, **options
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            detail = f"{self._folder} cannot be loaded: {str(error).splitlines()[0]}"
            raise EvaluationError("judge", detail, "name the folder of a causal language model") from error


def _share(one: float, other: float) -> float:
    """Returns the first letter's share of both letters' probability."""
    if not math.isfinite(one - other):
        detail, remedy = "the judge's logits are not finite", "take another judge"
        raise BadScoreError("judge", detail, remedy)
    return 1.0 / (1.0 + math.exp(min(other - one, 700.0)))


def _check_files(folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json", f"*{_WEIGHTS}"):
        if not any(folder.glob(name)):
            detail = f"{folder} has no {name}" if folder.is_dir() else f"there is no folder {folder}"
            raise EvaluationError("judge", detail, "name the folder of a language model with its tokenizer")
