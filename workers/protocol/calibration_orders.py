"""Orders to look at models through texts, and what comes of them.  Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from search_spaces import Parent, Recipe

RecordKind = Literal["fisher", "gram", "routing"]
RECORD_KINDS: tuple[RecordKind, ...] = ("fisher", "gram", "routing")
ProgressOf = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class TextsToUse:
    """Which texts of a file are used, and how much of each.

    Attributes:
        file: One text per line, or one JSON object with `text` per line (`.jsonl`).
        count: How many texts, drawn with the seed.
        length: Most tokens per text; what is longer is cut.
    """

    file: str
    count: int = 256
    length: int = 512
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CalibrationOrder:
    """Record what merge methods need to know of a model, on these texts.

    Attributes:
        device: `auto` takes a GPU where there is one.
        folder: Where to write the records; None takes the model's own place.
    """

    parent: Parent
    texts: TextsToUse
    kinds: tuple[RecordKind, ...] = RECORD_KINDS
    device: str = "auto"
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record that now exists."""

    kind: RecordKind
    file: str
    texts: int
    tokens: int
    tensors: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The records of one model."""

    records: tuple[Recorded, ...]


@dataclass(frozen=True, slots=True)
class LearningOrder:
    """Learn a recipe's coefficients by gradient, on these texts.

    Attributes:
        method: `task_arithmetic` learns weights (AdaMerging, aTLAS), `self_positioning` positions and
            their common factor.
        scope: Weights for each parent as a whole, for each of its layers, or for each of its tensors.
        objective: `entropy` of the next-token predictions, without labels (AdaMerging), or their
            `cross_entropy` with the texts.
        rate: Adam's learning rate.
        initial: The coefficients to begin with; None: 0.3 for weights, 1 for positions and factor.
        low, high: Coefficients are kept between these.
        batch: Texts per step.
        penalty: Added to the objective per unit of the common factor (`self_positioning`).
    """

    base: Parent
    parents: tuple[Parent, ...]
    texts: TextsToUse
    method: Literal["task_arithmetic", "self_positioning"] = "task_arithmetic"
    scope: Literal["task", "layer", "tensor"] = "layer"
    objective: Literal["entropy", "cross_entropy"] = "entropy"
    steps: int = 500
    rate: float = 1e-3
    initial: float | None = None
    low: float = 0.0
    high: float = 1.0
    batch: int = 16
    penalty: float = 0.0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Learned:
    """A recipe with learned coefficients, and the objective over all texts before and after."""

    recipe: Recipe
    before: float
    after: float
