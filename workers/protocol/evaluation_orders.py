"""An order to evaluate checkpoints on whole tasks, and its answer.  Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from evaluators.evaluations import Evaluated, EvaluationSettings, PairedDifference
from search_spaces import Parent


@dataclass(frozen=True, slots=True)
class EvaluationOrder:
    """Wants checkpoints asked whole tasks, as lm-eval's own command asks them.

    Attributes:
        parents: Who each of the models is compared with.
        dtype: Of the weights; None takes each model's own.
        device: A device of torch; `auto` takes a GPU where there is one.
    """

    models: tuple[Parent, ...]
    settings: EvaluationSettings
    parents: tuple[Parent, ...] = ()
    dtype: str | None = None
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What checkpoints came to.

    Attributes:
        models: In the order's order.
        parents: Likewise.
        differences: Of every model from every parent, per task and metric.
    """

    models: tuple[Evaluated, ...]
    parents: tuple[Evaluated, ...] = ()
    differences: tuple[PairedDifference, ...] = ()
