"""Peers: each in an environment and a process of its own, which asks and is told over a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from benchmarks.peers.environments import PeerProcess, peer_python
from benchmarks.searching.suite.ours import Searched
from benchmarks.searching.suite.stage import Stage
from search_spaces import Genome, Infeasible
from search_spaces.genome import Real, Variable
from service.examination.finalists import fitness_of
from service.experiment.candidate import Candidate, Remembered

_MODULES = Path(__file__).parents[2] / "peers" / "samplers"
_ONE_NUMBER = ("pycma", "optuna_cma_es")  # know no fronts: they climb the weighted mean


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer.

    Attributes:
        packages: What its environment holds.
        module: What runs in it, of `benchmarks.peers.samplers`.
        settings: What that is told beside the problem.
        torch: Its environment holds torch as well.
    """

    name: str
    packages: tuple[str, ...]
    module: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    torch: bool = False

    def python(self) -> Path:
        """Returns the interpreter of its environment, made on first use.

        Raises:
            PeerUnavailableError: It cannot be installed here.
        """
        return peer_python(self.module.removesuffix("_search"), self.packages, torch=self.torch)

    def source(self) -> str:
        """Returns the code that runs in its environment."""
        return "".join((_MODULES / f"{name}.py").read_text() for name in ("pipe", self.module))


_OPTUNA = ("optuna==5.0.0", "cmaes==0.13.1", "scipy==1.17.1")
_PEERS = (
    Peer("pycma", ("cma==4.5.0",), "pycma_search"),
    Peer("optuna_tpe", _OPTUNA, "optuna_search", {"sampler": "tpe"}, torch=True),
    Peer("optuna_gp", _OPTUNA, "optuna_search", {"sampler": "gp"}, torch=True),
    Peer("optuna_cma_es", _OPTUNA, "optuna_search", {"sampler": "cma_es"}, torch=True),
    Peer("botorch", ("botorch==0.16.1",), "botorch_search", torch=True),
    Peer("nsga2_pymoo", ("pymoo==0.6.1.3",), "pymoo_search"),
)
PEERS = {peer.name: peer for peer in _PEERS}


def search_peer(stage: Stage, peer: Peer, seed: int, budget: int) -> Searched:
    """Returns what a peer tried within a budget of evaluations.

    Raises:
        PeerUnavailableError: It cannot be installed here, or ended instead of answering.
    """
    found = Searched([])
    with PeerProcess(peer.python(), "-m", f"benchmarks.peers.samplers.{peer.module}") as process:
        request: dict[str, Any] = _order(stage, peer, seed, budget)
        own = 0.0
        while len(found.remembered) < budget:
            began = perf_counter()
            answer = process.ask(request)
            own += perf_counter() - began
            asked = [_genome(stage.space.variables, genes) for genes in answer["ask"]]
            asked = asked[: budget - len(found.remembered)]
            if (mean := answer.get("mean")) is not None:
                found.means.append((len(found.remembered), _genome(stage.space.variables, mean)))
            new = list(_evaluated(stage, asked, len(found.remembered)))
            found.remembered += new
            found.own_seconds.append((len(found.remembered), own))
            request = {"fitness": [list(fitness_of(one.outcome)) or None for one in new]}
    found.ending = "budget spent"
    return found


def _order(stage: Stage, peer: Peer, seed: int, budget: int) -> dict[str, Any]:
    """Returns the problem as a peer gets it.

    Genes that are numbers are told in their own unit, with where mergekit-evolve would begin (weights at one
    over the number of models); others as a place in [0, 1].
    """
    parents = len(stage.spec.parents)
    return {
        "genes": [_gene(variable, parents) for variable in stage.space.variables],
        "weights": list(stage.weights),
        "seed": seed,
        "budget": budget,
        "is_front": stage.problem.is_front and peer.name not in _ONE_NUMBER,
        "settings": dict(peer.settings),
    }


def _gene(variable: Variable, parents: int) -> dict[str, Any]:
    if not isinstance(variable, Real):
        return {"low": 0.0, "high": 1.0, "start": variable.to_unit(variable.initial), "is_weight": False}
    is_weight = variable.axis is not None and variable.axis.parameter == "weight"
    start = 1 / parents if is_weight else variable.initial
    return {"low": variable.low, "high": variable.high, "start": start, "is_weight": is_weight}


def _genome(variables: Sequence[Variable], genes: Sequence[float]) -> Genome:
    """Returns a genome; a number out of its bounds stays there: a peer may know none."""
    return tuple(
        float(gene) if isinstance(variable, Real) else variable.from_unit(gene)
        for variable, gene in zip(variables, genes, strict=True)
    )


def _evaluated(stage: Stage, genomes: Sequence[Genome], first: int) -> Iterator[Remembered]:
    for number, genome in enumerate(genomes, first):
        recipe = stage.space.decode(genome)
        remembered = Remembered(Candidate(uuid4(), number, 0, genome, recipe))
        if isinstance(recipe, Infeasible):
            yield remembered
            continue
        yield replace(remembered, outcome=stage.evaluator.ask(recipe, "search"))
