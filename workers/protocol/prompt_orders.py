"""Prompts and items that people have put to single models, and the answers.  Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluators.benchmark import Benchmark
from evaluators.splits import Split
from evaluators.task_facts import ShownAnswer
from search_spaces import Parent, Recipe

AsChat = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class PromptedModel:
    """A model that is asked.

    Attributes:
        label: What the answer is to be called.
    """

    label: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class PromptOrder:
    """A prompt, put to models one after the other; answered with `PromptAnswers`.

    Attributes:
        chat: Whether it is a message of a user's; `auto`: where the model has a chat template.
        max_tokens: The longest answer, in tokens.
        temperature: 0 takes the likeliest tokens.
        seed: Of what is drawn.
        seconds: That all answers together may take, getting ready included.
        dtype: Of the weights; None takes the parents' own.
    """

    models: tuple[PromptedModel, ...]
    prompt: str
    system: str | None = None
    chat: AsChat = "auto"
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    seconds: float = 300.0
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """What one model answered.

    Attributes:
        prompt: As the model saw it, with its chat template.
        tokens: How many were generated.
        cut_off: It came to no end within the tokens allowed.
        seconds: Merging and answering.
    """

    label: str
    prompt: str
    text: str
    tokens: int
    cut_off: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """Some items of benchmarks, put to one model; answered with `SampleAnswers`.

    Attributes:
        recipe: The model.
        parents: All of the experiment's: their names say how questions are put.
        benchmarks: lm-eval's tasks alone.
        count: Items of each benchmark, from the first on.
        items: These items alone, by their places in the split, in the place of the first; none of those that
            a benchmark does not have.
        seconds: That all of it may take.
        dtype: Of the weights; None takes the parents' own.
    """

    recipe: Recipe
    parents: tuple[Parent, ...]
    benchmarks: tuple[Benchmark, ...]
    split: Split = "search"
    count: int = 4
    seconds: float = 600.0
    dtype: str | None = None
    items: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleAnswers:
    """What a model answered: per benchmark its name and its items."""

    entries: tuple[tuple[str, tuple[ShownAnswer, ...]], ...]


@dataclass(frozen=True, slots=True)
class PromptAnswers:
    """One answer per model, in order."""

    entries: tuple[PromptAnswer, ...]
