"""optimize: an experiment from its spec to its result, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from service.cli.connection import Place
from service.cli.experiments.logging_to import trackers_of
from service.cli.experiments.stages import begin, check_stages, checking
from service.cli.experiments.watch import follow
from service.cli.reaching import Need, reach
from service.cli.terminal.output import note
from service.cli.terminal.still import still
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from service.inprocess.errors import UnsuccessfulError
from service.inprocess.given_spec import GivenSpec, spec_from
from service.inprocess.result import Result, result_of


def optimize(
    spec: GivenSpec,
    *,
    home: str | PathLike[str] | None = None,
    name: str | None = None,
    workers: int | None = None,
    workforce: Literal["ray", "inline"] | None = None,
    log_to: Sequence[str] = (),
) -> Result:
    """Runs an experiment to its end, showing its progress, and returns what it found.

    A service is started inside this process for the length of the call, unless one serves the home
    already.  After an interruption (Ctrl-C, a crash) the same call goes on where it stopped; when the
    experiment has ended, it returns the result again.

    Args:
        spec: An `ExperimentSpec`, a mapping, or the path of a file (mergekit-evolve's as well).
        home: The folder that keeps experiments; by default EVOMERGE_HOME, else `evomerge-runs`.
        name: Another name than the spec's.
        workers: How many workers; None fills the machine.
        workforce: `ray`, or `inline` to merge and score on a thread of this process; by default
            EVOMERGE_WORKFORCE, else `ray`.
        log_to: Trackers that it is shown in as well: `tensorboard:FOLDER`, `mlflow[:URI]`, `wandb[:PROJECT]`.

    Raises:
        ClientError: The spec has mistakes (all are named), or its name is another experiment's.
        UnsuccessfulError: The experiment failed or was cancelled.
        KeyboardInterrupt: It was stopped; what was scored is kept.
    """
    given = spec_from(spec, name)
    place = Place(home=None if home is None else Path(home).expanduser())
    trackers = trackers_of(log_to, place.home)
    with reach(place, Need.RUN, workers=workers, workforce=workforce) as (client, own):
        try:
            with still(checking([given])):
                (stage,) = check_stages(client, [given])
            key = str(begin(client, stage).id)
            with trackers.told(client, key, own=own):
                follow(client, key)
        except KeyboardInterrupt:
            kept = "what was scored is kept, and the same call goes on" if own else "the experiment goes on"
            note(f"\nStopped: {kept}.")
            raise
        return _result(client, key, place)


def _result(client: Client, key: str, place: Place) -> Result:
    view = client.experiment(key)
    if view.status is not ExperimentStatus.SUCCEEDED:
        raise UnsuccessfulError(view)
    return result_of(client, view, place)
