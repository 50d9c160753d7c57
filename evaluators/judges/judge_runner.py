"""One benchmark that lm-eval does not know, and the numbers its judge gives per item.

Shapes: N items.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.benchmark import Benchmark
from evaluators.evaluator import BenchmarkFacts
from evaluators.fingerprints.code_origin import engine_version
from evaluators.inference.chat_format import ChatFormat
from evaluators.inference.language_model import InMemoryModel
from evaluators.item_set import ItemSet
from evaluators.judges.answer_judges import ANSWER_KINDS
from evaluators.judges.item_files import items_of
from evaluators.judges.spoken_prompts import form_for, spoken
from evaluators.sampling.overlap import shared_passages
from evaluators.scores import Score, mean_score
from evaluators.splits import SPLITS, Split

Network: TypeAlias = PreTrainedModel
Tokenizer: TypeAlias = PreTrainedTokenizerBase


class JudgeRunner(Protocol):
    """A benchmark that is ready to be asked."""

    def facts(self) -> BenchmarkFacts:
        """Returns what it asks."""
        ...

    def item_set(self, split: Split, tokenizer: Tokenizer | None = None) -> ItemSet:
        """Returns what it asks on a split, of models with this tokenizer."""
        ...

    def score(
        self, model: Network, tokenizer: Tokenizer, split: Split, indices: Sequence[int], *, batch_size: int
    ) -> Score:
        """Scores a model on some of the items."""
        ...


class NetworkCost:
    """What the merged network is: `depth` (layers) or `parameters`.  The same on every split."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark

    def facts(self) -> BenchmarkFacts:
        """Returns one item per split."""
        higher = self._benchmark.higher_is_better()
        kind, items = self._benchmark.kind, dict.fromkeys(SPLITS, 1)
        return BenchmarkFacts(self._benchmark.name, items, (kind,), higher, additive=False)

    def item_set(self, split: Split, tokenizer: Tokenizer | None = None) -> ItemSet:  # noqa: ARG002
        """Returns an item set of one item."""
        fingerprint = f"{self._benchmark.kind} {engine_version()}"
        return ItemSet(1, fingerprint, additive=False, benchmark=self._benchmark.name)

    def score(
        self, model: Network, tokenizer: Tokenizer, split: Split, indices: Sequence[int], *, batch_size: int
    ) -> Score:
        """Counts."""
        del tokenizer, indices, batch_size
        if self._benchmark.kind == "depth":
            value = float(model.config.get_text_config().num_hidden_layers)
        else:
            value = float(sum(parameter.numel() for parameter in model.parameters()))
        facts = self.facts()
        fingerprint = self.item_set(split).fingerprint
        return Score(
            facts.name, facts.metrics[0], value, 0.0, facts.higher_is_better, (value,), (), fingerprint
        )


class FileJudgeRunner:
    """What the items of a file are put to, and how the answers are judged."""

    additive: ClassVar[bool] = True  # whether the score is a mean over the items

    def __init__(
        self,
        benchmark: Benchmark,
        field: str,
        metric: str,
        *,
        higher_is_better: bool,
        marking: Callable[[], str] = str,
    ) -> None:
        self.benchmark, self._marking = benchmark, marking
        self.items = items_of(benchmark, field=field)
        self._field = field
        higher = benchmark.higher_is_better(otherwise=higher_is_better)
        self._like = Score(benchmark.name, metric, 0.0, 0.0, higher)
        self._fingerprints: dict[Hashable, str] = {}
        self._prompts: dict[Hashable, list[str]] = {}

    def facts(self) -> BenchmarkFacts:
        """Returns how many items there are."""
        sizes: dict[Split, int] = {split: len(items) for split, items in self.items.items()}
        texts = [[{self._field: text} for text in self.items[split]] for split in ("search", "test")]
        overlap = shared_passages(*texts)
        like = self._like
        return BenchmarkFacts(
            like.benchmark,
            sizes,
            (like.metric,),
            like.higher_is_better,
            overlap,
            additive=self.additive,
        )

    def item_set(self, split: Split, tokenizer: Tokenizer | None = None) -> ItemSet:
        """Returns what is asked on a split, of models with this tokenizer."""
        size, fingerprint = len(self.items[split]), self.fingerprint(split, tokenizer)
        return ItemSet(size, fingerprint, self.additive, benchmark=self.benchmark.name)

    def fingerprint(self, split: Split, tokenizer: Tokenizer | None = None) -> str:
        """Returns a hash of all that an answer depends on besides the model."""
        form = self.form(tokenizer)
        key = split, None if form is None else form.key
        if key not in self._fingerprints:
            asked = self.benchmark.model_dump_json(exclude={"name", "max_items", "splits", "file"})
            content = repr((engine_version(), asked, self._marked_by, self.items[split], key))
            self._fingerprints[key] = hashlib.sha256(content.encode()).hexdigest()
        return self._fingerprints[key]

    @cached_property
    def _marked_by(self) -> str:
        """What else the numbers depend on; it may take a while to find out."""
        return self._marking()

    def form(self, tokenizer: Tokenizer | None) -> ChatFormat | None:  # noqa: ARG002
        """Returns how items are put to models with this tokenizer; None where they are plain text."""
        return None

    def blank(self, split: Split, indices: Sequence[int], tokenizer: Tokenizer) -> Score:
        """Returns a score without a value."""
        part = () if len(indices) == len(self.items[split]) else tuple(indices)
        return replace(self._like, item_indices=part, item_set=self.fingerprint(split, tokenizer))


class AnswersRunner(FileJudgeRunner, ABC):
    """Has prompts answered greedily; the score is the mean over the answers' values."""

    def form(self, tokenizer: Tokenizer | None) -> ChatFormat | None:
        """Returns how prompts are put to models with this tokenizer; None where they are plain text."""
        return form_for(self.benchmark.chat, tokenizer)

    def prompts(self, split: Split, tokenizer: Tokenizer) -> list[str]:
        """Returns what the model reads; rendered once per chat template."""
        form = self.form(tokenizer)
        key = split, None if form is None else form.key
        if key not in self._prompts:
            self._prompts[key] = spoken(self.items[split], self.benchmark.chat, form)
        return self._prompts[key]

    @abstractmethod
    def values(
        self, answers: Sequence[str], split: Split, indices: Sequence[int], asked: InMemoryModel
    ) -> list[float]:
        """Returns a value per answer."""

    def answers(self, asked: InMemoryModel, split: Split, indices: Sequence[int]) -> list[str]:
        """Returns what a model answers, without its reasoning."""
        read = self.prompts(split, asked.tokenizer)
        settings: dict[str, Any] = {"until": [], "max_gen_toks": self.benchmark.new_tokens}
        if self.benchmark.chat.think_end is not None:
            settings["think_end"] = self.benchmark.chat.think_end
        plan = asked.plan_generations([(read[index], settings) for index in indices])
        return plan.answers(asked.network)

    def score(
        self, model: Network, tokenizer: Tokenizer, split: Split, indices: Sequence[int], *, batch_size: int
    ) -> Score:
        """Has the prompts answered and the answers judged."""
        asked = InMemoryModel(model, tokenizer, batch_size=batch_size)
        values = self.values(self.answers(asked, split, indices), split, indices, asked)
        found = dict(zip(indices, values, strict=True))
        return mean_score(self.blank(split, indices, tokenizer), found, size=len(self.items[split]))


class Answers(AnswersRunner):
    """Judges answers by one of `ANSWER_KINDS`."""

    def __init__(self, benchmark: Benchmark) -> None:
        kind = ANSWER_KINDS[benchmark.kind]
        self._judge = kind.build(benchmark)
        super().__init__(
            benchmark,
            "prompt",
            kind.metric,
            higher_is_better=kind.higher_is_better,
            marking=partial(kind.marking, benchmark),
        )

    def values(
        self, answers: Sequence[str], split: Split, indices: Sequence[int], asked: InMemoryModel
    ) -> list[float]:
        """Returns what the judge says of each."""
        return self._judge([self.items[split][index] for index in indices], answers, asked)


class Perplexity(FileJudgeRunner):
    """exp of the mean negative log-likelihood per token, over all texts."""

    additive: ClassVar[bool] = False

    def __init__(self, benchmark: Benchmark) -> None:
        super().__init__(benchmark, "text", "perplexity", higher_is_better=False)

    def score(
        self, model: Network, tokenizer: Tokenizer, split: Split, indices: Sequence[int], *, batch_size: int
    ) -> Score:
        """Scores the texts; the standard error is that of a ratio of means, by the delta method."""
        texts = [self.items[split][index] for index in indices]
        asked = InMemoryModel(model, tokenizer, batch_size=batch_size)
        losses_N = -np.array(asked.plan_texts(texts).answers(asked.network), np.float64)
        tokens_N = np.array([len(tokenizer(text)["input_ids"]) for text in texts], np.float64)
        rate = float(losses_N.sum() / tokens_N.sum())
        value = math.exp(rate) if rate < 700.0 else math.inf
        spread_N = (losses_N - rate * tokens_N) / tokens_N.mean()
        count = len(texts)
        stderr = value * float(spread_N.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
        return replace(self.blank(split, indices, tokenizer), value=value, stderr=stderr)
