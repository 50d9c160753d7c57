"""What a model is taught and asked: questions of words, and mixtures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SPLITS = ("search", "selection", "test")


@dataclass(frozen=True, slots=True)
class Question:
    """Words, and the words that go on."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a model is trained.

    Attributes:
        parts: Questions and how often each part is drawn from, relative to the others.
        steps: Batches of 64.
        rate: The highest learning rate.
        outer: Factor on the rate for embeddings, last norm and head.
        layers: Factor on the rate for each layer; () is 1 for all.
    """

    parts: tuple[tuple[float, tuple[Question, ...]], ...]
    steps: int
    rate: float
    outer: float = 1.0
    layers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """What a merged model is asked, split by split.

    Attributes:
        splits: Disjoint questions by split.
        choices: The answers to choose from; () has the answer generated, greedily, and matched exactly.
    """

    splits: Mapping[str, Sequence[Question]]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """All that checkpoints and tasks are made of.

    Attributes:
        words: The vocabulary.
        layers, hidden: Of the networks.
        base: None where the models have no common ancestor: then each starts from weights of its own.
        rank: Of the adapters that experts are trained as; None trains all their weights.
    """

    words: tuple[str, ...]
    layers: int
    hidden: int
    base: Lesson | None
    experts: Mapping[str, Lesson]
    tasks: Mapping[str, Task]
    rank: int | None = None

    def content(self) -> dict[str, Any]:
        """Returns all of it as JSON."""
        return asdict(self)


def dealt(questions: Sequence[Question], sizes: Mapping[str, int]) -> dict[str, list[Question]]:
    """Returns the first questions dealt into the splits, as many as each wants.

    Raises:
        ValueError: There are too few.
    """
    if sum(sizes.values()) > len(questions):
        raise ValueError(f"{len(questions)} questions are too few for splits of {dict(sizes)}; ask for fewer")
    found, start = {}, 0
    for split, size in sizes.items():
        found[split] = list(questions[start : start + size])
        start += size
    return found
