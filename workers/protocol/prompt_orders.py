"""Prompts that people put to single models, and the answers.  Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_spaces import Recipe

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
class PromptAnswers:
    """One answer per model, in order."""

    entries: tuple[PromptAnswer, ...]
