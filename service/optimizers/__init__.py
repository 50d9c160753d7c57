"""Optimizers: what proposes genomes and learns from their fitness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from search_spaces.errors import UnknownNameError
from service.optimizers.base import Evaluation, Forecast, MeasureAxis, Optimizer, OptimizerSetup, Origin
from service.optimizers.choice import AUTO, ChosenAlgorithm, choose_algorithm
from service.optimizers.cma_es import CmaEs
from service.optimizers.cma_me import CmaMae, CmaMe
from service.optimizers.cycleqd import CycleQd
from service.optimizers.differential_evolution import DifferentialEvolution
from service.optimizers.genome_search import GenomeSearch
from service.optimizers.greedy_soup import GreedySoup
from service.optimizers.item_surrogate import ItemSurrogate
from service.optimizers.kinship_greedy import KinshipGreedy
from service.optimizers.m2n2 import M2n2
from service.optimizers.map_elites import MapElites
from service.optimizers.model_glue import ModelGlue
from service.optimizers.nevergrad_search import PREFIX, NevergradSearch
from service.optimizers.nsga2 import Nsga2
from service.optimizers.quasi_random import QuasiRandomSearch
from service.optimizers.random_search import RandomSearch
from service.optimizers.separable_cma_es import SeparableCmaEs
from service.optimizers.sms_emoa import SmsEmoa

__all__ = [
    "AUTO",
    "NEED_KINSHIP",
    "OPTIMIZERS",
    "ChosenAlgorithm",
    "Evaluation",
    "Forecast",
    "MeasureAxis",
    "Optimizer",
    "OptimizerSetup",
    "Origin",
    "choose_algorithm",
    "optimizer_named",
]

OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    "item_surrogate": ItemSurrogate,
    "cma_es": CmaEs,
    "separable_cma_es": SeparableCmaEs,
    "differential_evolution": DifferentialEvolution,
    "nsga2": Nsga2,
    "sms_emoa": SmsEmoa,
    "map_elites": MapElites,
    "cma_me": CmaMe,
    "cma_mae": CmaMae,
    "cycleqd": CycleQd,
    "m2n2": M2n2,
    "genome": GenomeSearch,
    "greedy_soup": GreedySoup,
    "kinship_greedy": KinshipGreedy,
    "model_glue": ModelGlue,
    "random": RandomSearch,
    "quasi_random": QuasiRandomSearch,
}

NEED_KINSHIP = frozenset(name for name, kind in OPTIMIZERS.items() if kind.needs_kinship)


def optimizer_named(name: str) -> Callable[[OptimizerSetup], Optimizer]:
    """Returns the optimizer of this name; `nevergrad:NAME` is one of nevergrad's.

    Which of these there are is known when one is built, for importing nevergrad takes seconds.

    Raises:
        UnknownNameError: There is none.
    """
    if name.startswith(PREFIX):
        return partial(NevergradSearch, name=name.removeprefix(PREFIX))
    if name not in OPTIMIZERS:
        raise UnknownNameError("optimizer.algorithm", "optimizer", name, (*OPTIMIZERS, AUTO, PREFIX + "NAME"))
    return OPTIMIZERS[name]
