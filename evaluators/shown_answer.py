"""ShownAnswer: what a model was asked and answered on one item, to be read by people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One item, as the model saw it.

    Attributes:
        item: Its place in the split's order.
        prompt: With examples and chat template; empty where texts are scored whole.
        text: What was generated; of choices the likeliest.
        choices: What was compared, with log-likelihoods in nats; () where text was generated.
        target: The right answer, as the task writes it.
    """

    item: int
    prompt: str
    text: str
    choices: tuple[tuple[str, float], ...]
    target: str
