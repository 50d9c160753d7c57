"""Conditions: how a benchmark is put to a model, beside what its task says.

The examination asks the winner under other ones, to see how much a score depends on luck.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """Other few-shot examples, other draws where the model samples, or more room to answer.

    Attributes:
        seed: 0 draws the examples and samples that lm-eval would.
        length: Times the task's own limit on new tokens.
    """

    seed: int = 0
    length: float = 1.0

    def __post_init__(self) -> None:
        """Refuses answers of no length."""
        if self.seed < 0 or not 0.0 < self.length < 100.0:
            raise ValueError(f"seed {self.seed}, length {self.length}; use seed >= 0 and 0 < length < 100")

    def __str__(self) -> str:
        """Says what differs from the standard, for people."""
        parts = [f"seed {self.seed}"] if self.seed else []
        parts += [f"{self.length:g} times the length"] if self.length != 1.0 else []
        return ", ".join(parts) or "as the task says"


STANDARD = Conditions()

CONDITIONS = (Conditions(seed=1), Conditions(seed=2), Conditions(length=2.0), Conditions(length=0.5))
"""Those under which the examination asks the winner beside the standard ones."""
