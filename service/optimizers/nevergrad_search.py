"""Any optimizer of nevergrad, by name.  The only module that imports nevergrad."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.genome import Genome, initial_genome
from service.optimizers.base import Evaluation, Optimizer, OptimizerSetup, Origin

PREFIX = "nevergrad:"
USUAL = ("CMA", "DE", "TwoPointsDE", "PSO", "OnePlusOne", "DiscreteOnePlusOne", "TBPSA")
LARGEST_LOSS = 1e20  # nevergrad takes five times as much for nonsense
BASELINES = 100  # told beyond the budget at most; some optimizers refuse to answer beyond theirs
LONGEST_REHEARSAL = 150
WORD = 2**32  # what numpy's old generators are seeded with


class NevergradSearch(Optimizer):
    """Climbs the weighted mean of the objectives with one of nevergrad's optimizers.

    Those change when they are asked.  So one is kept that is only ever told, and candidates are asked
    of a copy of it, all of whose random streams are seeded with (seed, number) before each.  The
    candidates of a generation that is under way are asked for in a row, as nevergrad expects: number n
    of the copy that has answered for the ones before it.  A tell is an ask whose answer is replaced by
    the genome in question, so that it lands in the place, swarm or lineage where nevergrad looks for it.
    Answers that no recipe stands for are drawn nearer to the initial genome.

    Args:
        setup: As for every optimizer.
        name: One of nevergrad's registry.

    Raises:
        SpaceError: nevergrad is not installed, has none of this name, or this one does not suit: it keeps
            threads or other things that cannot be copied, refuses the budget, or breaks with the libraries
            here.
    """

    def __init__(self, setup: OptimizerSetup, name: str) -> None:
        super().__init__(setup)
        self.name = name
        self._told = 0
        self._chain: _Chain | None = None  # spares copies; what it answers does not depend on it
        self._floor = 0.0  # the worst feasible scalar told so far
        self._has_feasible = False
        with _quiet(), _kept_generators():
            _seed([setup.seed])
            self._live = self._built()
            try:
                self._rehearse(copy.deepcopy(self._live))
            except Exception as error:
                raise self._unsuitable(error) from error

    @property
    def population(self) -> int:
        """How many candidates are asked for at once: as many as wanted, or 20."""
        return self.setup.population or 20

    def propose(self, number: int) -> Genome:
        """Returns what a copy of the optimizer answers after it was asked for the numbers before."""
        before = (number - self._told) % self.population
        first = number - before
        if self._chain is None or self._chain.first != first or self._chain.upcoming > number:
            self._chain = _Chain(self._live, first)
        with _quiet(), _kept_generators():
            while True:
                position = self._chain.answer(self.setup.seed % WORD)
                if self._chain.upcoming > number:
                    return self.nearer(self.genome_at(position), self.rng(number))

    def origin(self, number: int) -> Origin:
        """Returns the optimizer's name: nevergrad does not say whom a candidate was made of."""
        del number
        return Origin(self.name)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Learns from evaluations, as every optimizer does, with the process's generators put back after."""
        with _quiet(), _kept_generators():
            super().tell(evaluations)

    def learn(self, evaluation: Evaluation) -> None:
        """Has the optimizer asked once and told of this genome in the place of its answer."""
        _seed([self.setup.seed % WORD, evaluation.number, 1])
        answer = self._live.ask()
        answer._frozen = answer.parameters._frozen = False  # a child instead would take as long as the rest
        answer.value = np.clip(self.position_of(evaluation.genome), 0.0, 1.0)
        self._live.tell(answer, min(-self._climbed(evaluation), LARGEST_LOSS))
        self._told += 1
        self._chain = None

    def _climbed(self, evaluation: Evaluation) -> float:
        """Returns the scalar, or, of an infeasible candidate, less than any feasible one's so far."""
        scalar = self.scalar(evaluation.fitness)
        if not evaluation.violation:
            self._floor = min(self._floor, scalar) if self._has_feasible else scalar
            self._has_feasible = True
            return scalar
        violation = evaluation.violation
        return self._floor - max(abs(self._floor), 1.0) * (1 + violation / (1 + violation))

    def _built(self) -> Any:  # noqa: ANN401
        nevergrad = _loaded()
        known = nevergrad.optimizers.registry
        if self.name not in known:
            near = get_close_matches(self.name, known, n=5, cutoff=0.5) or USUAL
            raise UnknownNameError("optimizer.algorithm", "nevergrad optimizer", self.name, near)
        start = self.position_of(initial_genome(self.variables))
        cube = nevergrad.p.Array(init=start, lower=0.0, upper=1.0).set_mutation(sigma=self.setup.sigma)
        cube.satisfies_constraints = _holds  # inherited by every point; looked through, they take a while
        cube.random_state = np.random.RandomState(self.setup.seed % WORD)
        kind: Callable[..., Any] = known[self.name]
        budget = None if self.setup.budget is None else self.setup.budget + BASELINES
        workers = 1 if getattr(kind, "no_parallelization", False) else self.population
        try:
            return kind(parametrization=cube, budget=budget, num_workers=workers)
        except Exception as error:
            raise self._unsuitable(error) from error

    def _rehearse(self, optimizer: Any) -> None:  # noqa: ANN401
        """Has a copy search a little, for what cannot work here often fails after some candidates only."""
        genes = len(self.variables)
        rounds = min((genes + 1) * (genes + 2), self.setup.budget or LONGEST_REHEARSAL, LONGEST_REHEARSAL)
        rng = np.random.default_rng(0)
        for _ in range(rounds):
            optimizer.tell(optimizer.ask(), float(rng.random()))

    def _unsuitable(self, error: Exception) -> SpaceError:
        said = " ".join(str(error).split())[:200]
        detail = f"nevergrad's {self.name} cannot search here ({type(error).__name__}: {said})"
        return SpaceError("optimizer.algorithm", detail, f"use another, such as {', '.join(USUAL[:4])}")


def _loaded() -> Any:  # noqa: ANN401
    """Returns nevergrad, which takes seconds to import the first time.

    Raises:
        SpaceError: It is not installed.
    """
    try:
        import nevergrad  # here, not above: it takes seconds, and may not be installed
    except ImportError as error:
        detail = f"nevergrad cannot be imported ({error})"
        remedy = (
            "install it with `pip install 'evomerge[nevergrad]'`, or use an optimizer without this prefix"
        )
        raise SpaceError("optimizer.algorithm", detail, remedy) from error
    return nevergrad


class _Chain:
    """A copy of an optimizer that answers for one candidate number after the other.

    Attributes:
        first: The number that the copy began with.
        upcoming: The number that it answers for next.
    """

    def __init__(self, optimizer: Any, first: int) -> None:  # noqa: ANN401
        memo = {id(archive): archive for archive in _archives(optimizer)}
        with _quiet():
            self._optimizer = copy.deepcopy(optimizer, memo)
        self._streams = [part for part in memo.values() if isinstance(part, np.random.RandomState)]
        self.first = self.upcoming = first

    def answer(self, seed: int) -> NDArray[np.float64]:
        """Returns the next number's point, after seeding every random stream with it."""
        seeds = [seed, max(self.upcoming, 0)]
        for place, stream in enumerate(self._streams):
            stream.seed([*seeds, place])
        _seed(seeds)
        point = np.asarray(self._optimizer.ask().value, dtype=np.float64)
        self.upcoming += 1
        return point


def _holds(*_: object, no_tabu: bool = False) -> bool:
    """Stands for the constraints of the cube, of which there are none."""
    del no_tabu
    return True


def _archives(optimizer: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yields what an ask only reads, and what grows with every tell: copying it would take ever longer."""
    from nevergrad.optimization.base import Optimizer as Foreign

    yield optimizer.archive
    for part in vars(optimizer).values():
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, Foreign) and inner is not optimizer:
                yield from _archives(inner)


def _seed(seeds: list[int]) -> None:
    """Seeds the process's own generators, which some optimizers draw from."""
    random.seed(str(seeds))
    np.random.seed([seed % WORD for seed in seeds])  # noqa: NPY002 - it is what they draw from


@contextmanager
def _kept_generators() -> Iterator[None]:
    """Puts the process's own generators back to where they were."""
    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(theirs)  # noqa: NPY002


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps warnings of budgets and losses away; what fails raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
