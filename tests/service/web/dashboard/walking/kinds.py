"""Experiments of every kind, as far as they have come, for walks through all their pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.measuring.long_history import write_history
from service.experiment.status import ENDED, ExperimentStatus
from service.store.database import Database
from service.store.repository import Repository
from tests.service.running import wait_for
from tests.service.small_experiments import add_experiment, small_spec, with_optimizer
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)<script>{{ 7*7 }}\u202e'\""
LONG = 50_000


def _run(**changes: Any) -> Callable[[Served], str]:
    """A search that runs to its end over the scripted workforce."""

    def make(service: Served) -> str:
        name = f"run {len(changes)} {sorted(changes)}"[:90]
        row = add_experiment(service.database, small_spec(name=name, **changes))

        def is_over() -> bool:
            with service.database.reading() as session:
                return Repository(session).experiment(row.id).status in ENDED

        wait_for(is_over, f"{name} to end")
        return str(row.id)

    return make


def _played(
    objectives: int, *, ended: bool, measured: bool = False, name: str = ""
) -> Callable[[Served], str]:
    """A search of so many objectives that a test plays: under way, or examined."""

    def make(service: Served) -> str:
        names = [f"{name or 'skill'} {place}" for place in range(objectives)]
        title = name or f"{objectives} {'measured ' if measured else ''}{'ended' if ended else 'running'}"
        played = PlayedExperiment(service.database, title, objectives=names, measured=measured)
        played.play_baselines()
        played.play(16)
        played.play(16)
        played.fail_one(cause=name or "the merged weights gave NaN", excerpt=name)
        if ended:
            played.examine()
        if name:
            _described(service.database, played, name)
        return str(played.id)

    return make


def _described(database: Database, played: PlayedExperiment, text: str) -> None:
    with database.session() as session:
        row = Repository(session).experiment(played.id)
        row.tags = [text[:50]]
        row.spec = {**row.spec, "notes": text}


def _failed(service: Served) -> str:
    played = PlayedExperiment(service.database, "came to nothing")
    played.play_baselines()
    played.fail_one()
    played.move(ExperimentStatus.FAILED, reason="too many candidates failed")
    return str(played.id)


def _empty(service: Served) -> str:
    return str(PlayedExperiment(service.database, "nothing yet").id)


def _long(service: Served) -> str:
    return str(write_history(service.database, "long", candidates=LONG, objectives=6, running=True))


KINDS: Mapping[str, Callable[[Served], str]] = {
    "one objective, ended": _run(objectives=[{"task": "words"}]),
    "one objective, running": _played(1, ended=False),
    "two objectives, ended": _played(2, ended=True),
    "two objectives, running": _played(2, ended=False),
    "three objectives, ended": _played(3, ended=True),
    "three objectives, running": _played(3, ended=False),
    "six objectives, ended": _played(6, ended=True),
    "six objectives, running": _played(6, ended=False),
    "archive, ended": _run(**with_optimizer("map_elites")),
    "archive, running": _played(2, ended=False, measured=True),
    "stacking": _run(space={"kind": "layer_stacking", "repeats": 2}),
    "several methods": _run(space={"methods": ["linear", "task_arithmetic"], "layer_groups": 2}),
    "failed": _failed,
    "empty": _empty,
    "hostile": _played(2, ended=True, name=HOSTILE),
    "50,000 candidates": _long,
}
OFTEN = ("hostile",)
"""What every run of the tests walks through; the others are slow."""
