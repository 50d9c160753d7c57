"""What is known already: models that earlier experiments scored over the same parents, on the same items.

They join generation 0 and are told first: their scores and margins are taken from the database, so that they
cost a merge at most.  Which were taken stands in the experiment's facts, recipes and all: what becomes of the
earlier experiments changes nothing in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from evaluators import Benchmark
from search_spaces import Recipe, SearchSpace
from service.errors import Mistake, NotFoundError
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.spec import ExperimentSpec
from service.search.loop import genome_of
from service.specification.baselines import PlannedBaseline
from service.specification.reading import pointer_to
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository

MOST_KNOWN = 256  # generation 0 is merged whole, and optimizers read it for every proposal
MOST_EXPERIMENTS = 200  # that are looked through, the newest


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a new experiment starts from.

    Attributes:
        known: Experiments' names and models that they scored, the best first.
        inexpressible: How many the new space does not hold.
        mistakes: In what the spec says of it.
        told: What might be of use.
    """

    known: tuple[tuple[str, PlannedBaseline], ...] = ()
    inexpressible: int = 0
    mistakes: tuple[Mistake, ...] = ()
    told: tuple[str, ...] = ()


Transfer = Callable[[ExperimentSpec, SearchSpace], Transferred]
"""Finds what is known of a new experiment's models."""


def nothing_known(spec: ExperimentSpec, space: SearchSpace) -> Transferred:  # noqa: ARG001 - a Transfer
    """Finds nothing: there is no database."""
    return Transferred()


def with_known(facts: Mapping[str, Any], found: Transferred) -> dict[str, Any]:
    """Returns an experiment's facts with the models that it starts from, after its own baselines."""
    there = {PlannedBaseline.model_validate(each).recipe.digest for each in facts["baselines"]}
    new = [(name, each) for name, each in found.known if each.recipe.digest not in there]
    baselines = [*facts["baselines"], *(each.model_dump(mode="json") for _, each in new)]
    return {**facts, "baselines": baselines, "transferred": dict(Counter(name for name, _ in new))}


def known_models(repository: Repository, spec: ExperimentSpec, space: SearchSpace) -> Transferred:
    """Returns the models of the experiments that `transfer` names, as far as the space holds them."""
    if not spec.transfer:
        return Transferred(told=tuple(_offered(repository, spec)))
    named = spec.transfer != "all"
    rows, mistakes = _named(repository, spec) if named else (list(_fitting(repository, spec)), [])
    found: dict[str, tuple[float, PlannedBaseline, str]] = {}
    inexpressible = 0
    for row in rows:
        for candidate in repository.candidates(row.id, status=CandidateStatus.SCORED):
            recipe = Recipe.model_validate(candidate.recipe)
            if recipe.digest in found or candidate.kind.is_bare:
                continue
            if genome_of(space, recipe) is None:
                inexpressible += 1
                continue
            label = f"{row.name}: {candidate.label or f'candidate {candidate.number}'}"
            known = PlannedBaseline(label=label, recipe=recipe, kind=CandidateKind.KNOWN)
            found[recipe.digest] = (_worth(candidate, row, spec), known, row.name)
    return _chosen(list(found.values()), inexpressible, tuple(mistakes))


def _chosen(
    found: Sequence[tuple[float, PlannedBaseline, str]], inexpressible: int, mistakes: tuple[Mistake, ...]
) -> Transferred:
    """Returns the best half of what is taken, and others evenly spread: a model learns from both."""
    ordered = sorted(found, key=lambda one: -one[0])
    best, rest = ordered[: MOST_KNOWN // 2], ordered[MOST_KNOWN // 2 :]
    step = max(1.0, len(rest) / (MOST_KNOWN - MOST_KNOWN // 2))
    spread = [rest[int(place * step)] for place in range(int(len(rest) / step))] if rest else []
    taken = [*best, *spread]
    return Transferred(tuple((name, known) for _, known, name in taken), inexpressible, mistakes)


def _worth(candidate: CandidateRow, row: ExperimentRow, spec: ExperimentSpec) -> float:
    """Returns the weighted mean of what an earlier candidate scored on the new objectives, as fitness."""
    names = _names_there(row, spec)
    values = {e.benchmark: e.value if e.higher_is_better else -e.value for e in candidate.evaluations
              if e.split == "search"}  # fmt: skip
    return sum(
        weight * values.get(name, 0.0) for name, weight in zip(names, spec.weights, strict=True)
    ) / sum(spec.weights)


def _named(repository: Repository, spec: ExperimentSpec) -> tuple[list[ExperimentRow], list[Mistake]]:
    """Returns the experiments that are named, and what keeps some from being used."""
    rows, mistakes = [], []
    for place, name in enumerate(spec.transfer):
        why: str | None = f"there is no experiment {name!r}"
        with suppress(NotFoundError):
            row = repository.experiment(name)
            if (why := _unlike(row, spec)) is None:
                rows.append(row)
        if why is None:
            continue
        remedy = "name experiments over the same parents and items; warm_start takes over recipes of others"
        mistakes.append(Mistake(pointer_to("transfer", place), "other_experiment", why, remedy))
    return rows, mistakes


def _fitting(repository: Repository, spec: ExperimentSpec) -> Iterator[ExperimentRow]:
    for row in repository.experiments(limit=MOST_EXPERIMENTS):
        if _unlike(row, spec) is None:
            yield row


def _offered(repository: Repository, spec: ExperimentSpec) -> Iterator[str]:
    """Yields that there is something to start from, where nothing is said of it."""
    fitting = list(_fitting(repository, spec))
    scored = sum(repository.counts(row.id).get(CandidateStatus.SCORED, 0) for row in fitting)
    if scored:
        names = ", ".join(row.name for row in fitting[:3]) + (" ..." if len(fitting) > 3 else "")
        yield f"{names} scored {scored} models over the same parents and items; `transfer: all` takes them"


def _unlike(row: ExperimentRow, spec: ExperimentSpec) -> str | None:
    """Says why an experiment's scores are none of the new one's; None where they are."""
    try:
        there = ExperimentSpec.model_validate(row.spec)
    except ValueError:
        return f"{row.name} is of another version of evomerge"
    if set(there.all_parents) != set(spec.all_parents):
        return f"{row.name} merges other parents"
    if (there.dtype, there.backend) != (spec.dtype, spec.backend):
        return f"{row.name} merges or asks in another number format or engine"
    if missing := [own.name for own in spec.benchmarks if _like(own, there) is None]:
        return f"{row.name} does not ask {', '.join(missing)}, or asks it otherwise"
    return None


def _like(benchmark: Benchmark, there: ExperimentSpec) -> str | None:
    """Returns what the same benchmark is called in another experiment; None where it is not asked there."""
    unnamed = {"name": ""}
    own = benchmark.model_copy(update=unnamed)
    return next((e.name for e in there.benchmarks if e.model_copy(update=unnamed) == own), None)


def _names_there(row: ExperimentRow, spec: ExperimentSpec) -> list[str]:
    there = ExperimentSpec.model_validate(row.spec)
    return [_like(benchmark, there) or benchmark.name for benchmark in spec.benchmarks]
