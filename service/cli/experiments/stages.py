"""Stages: experiments that `evomerge run` sees through one after the other.

A later one may take over what an earlier one found (`space.winner`, `warm_start`).  Everything that can
be known to be wrong is told before the first begins, and what exists already is taken up where it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.cli.evolve_flags import EvolveFlags
from service.cli.exits import Exit
from service.cli.spec_file import SpecFile, read_spec_file
from service.cli.terminal.output import CommandError, note
from service.cli.terminal.still import still
from service.client.client import ApiError, Client
from service.errors import Mistake
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.reports.views import ExperimentDetail, ExperimentView, ValidationView
from service.specification.objectives.lm_eval_names import with_own_names
from service.specification.reading import average_of, names_an_experiment, read_spec, with_absolute_paths

_GOES_ON = "begun already; it goes on where it is"


@dataclass(frozen=True, slots=True)
class Stage:
    """One experiment of a run.

    Attributes:
        found: What the service has of it already; None where it is still to be created.
    """

    spec: SpecFile
    found: ExperimentView | None

    @property
    def name(self) -> str:
        """The experiment's name."""
        return name_of(self.spec)


def name_of(spec: SpecFile) -> str:
    """Returns the name that a file gives its experiment."""
    return str(spec.content["name"])


def checking(specs: Sequence[SpecFile]) -> str:
    """Returns what is said while experiments are checked, for as long as that takes."""
    files = ", ".join(str(spec.path) for spec in specs)
    return f"checking {files}: models are inspected, tasks are built and their data sets fetched"


def read_stages(
    files: Sequence[Path],
    changes: Sequence[str],
    *,
    name: str | None,
    flags: EvolveFlags | None = None,
    strict: bool = False,
) -> list[SpecFile]:
    """Returns what the files say, each changed by the same `key=value` texts.

    Raises:
        CommandError: One cannot be read, or two would have one name.
    """
    if name is not None and len(files) > 1:
        hint = "give each file a `name` of its own"
        raise CommandError(f"--name names one experiment, not {len(files)}", hint, code=Exit.USAGE)
    specs = [read_spec_file(file, changes, name=name, flags=flags, strict=strict) for file in files]
    names = [name_of(spec) for spec in specs]
    for spec in specs:
        if names.count(name_of(spec)) > 1:
            detail = f"{names.count(name_of(spec))} files are called {name_of(spec)!r}"
            raise CommandError(detail, "give each file a `name` of its own", code=Exit.INVALID)
    return specs


def check_stages(client: Client, specs: Sequence[SpecFile]) -> list[Stage]:
    """Checks all experiments before the first begins.

    Raises:
        CommandError: One has mistakes, names an experiment that neither exists nor comes before it, or
            has the name of another one.
    """
    stages: list[Stage] = []
    for spec in specs:
        found = _found(client, spec)
        if found is None:
            to_come = {stage.name for stage in stages}
            refuse(spec, client.validate(_with_stand_ins(spec.content, to_come)))
        stages.append(Stage(spec, found))
    return stages


def begin(client: Client, stage: Stage) -> ExperimentView:
    """Creates an experiment, or has it go on where it stopped.

    Raises:
        CommandError: It has mistakes; names file and line of each.
    """
    found = stage.found
    if found is not None:
        over = found.status is ExperimentStatus.SUCCEEDED
        note(f"{found.name} was {'run already; this is what it found' if over else _GOES_ON}.")
        return client.resume(found.id) if "resume" in found.may else found
    try:
        with still(checking([stage.spec])):
            return client.create(stage.spec.content)
    except ApiError as error:
        if error.mistakes:
            raise CommandError(stage.spec.explain(error.mistakes), code=Exit.INVALID) from error
        if error.code == "name_taken":
            raise CommandError(error.message, "give it another with --name", code=Exit.CONFLICT) from error
        raise


def refuse(spec: SpecFile, found: ValidationView) -> None:
    """Tells warnings, and refuses a spec with mistakes.

    Raises:
        CommandError: It has some; names file and line of each.
    """
    for warning in found.warnings:
        note(f"Warning: {warning}")
    if not found.valid:
        mistakes = [Mistake(m.pointer, m.code, m.detail, m.hint) for m in found.mistakes]
        raise CommandError(spec.explain(mistakes), code=Exit.INVALID)


def _found(client: Client, spec: SpecFile) -> ExperimentView | None:
    """Returns the experiment of this name, where it stands; None where there is none.

    Raises:
        CommandError: It is another one, or was cancelled.
    """
    name = name_of(spec)
    try:
        found = client.experiment(name)
    except ApiError as error:
        if error.code == "not_found":
            return None
        raise
    wanted, _ = read_spec(with_absolute_paths(with_own_names(_with_winner_of(spec.content, found))))
    if wanted is None:  # it has mistakes, which say more than that its name is taken
        return None
    others = _differences(wanted, found)
    if not others and found.status is not ExperimentStatus.CANCELLED:
        return found
    why = f" with another {', '.join(others)}" if others else f" ({found.status.words})"
    hint = "give this one another name: `name` in the file, or --name"
    if others == ["budget"] and "extend" in found.may:
        hint = f"`evomerge extend {name} --candidates N` has it go on with a larger budget; or {hint}"
    detail = f"{spec.path}: there is already an experiment called {name!r}{why}"
    raise CommandError(detail, hint, code=Exit.CONFLICT)


def _with_winner_of(content: Mapping[str, Any], found: ExperimentDetail) -> dict[str, Any]:
    """Returns a spec whose winner, if it is given by an experiment's name, is the one that was taken."""
    space, there = content.get("space"), found.spec["space"].get("winner")
    if not isinstance(space, dict) or not names_an_experiment(space.get("winner")):
        return dict(content)
    return {**content, "space": {**space, "winner": there}}


def _differences(wanted: ExperimentSpec, found: ExperimentDetail) -> list[str]:
    """Returns the parts of a spec in which an experiment differs from what is wanted."""
    try:
        there = ExperimentSpec.model_validate(found.spec).model_dump(mode="json")
    except ValidationError:
        return ["spec, of another version of evomerge"]
    here = wanted.model_dump(mode="json")
    return [key for key, value in here.items() if value != there[key]]


def _with_stand_ins(content: Mapping[str, Any], to_come: Collection[str]) -> dict[str, Any]:
    """Returns a spec as it can be checked before the experiments exist that it takes over from."""
    found = dict(content)
    if isinstance(names := found.get("warm_start"), list):
        found["warm_start"] = [name for name in names if name not in to_come]
    space = found.get("space")
    if isinstance(space, dict) and names_an_experiment(name := space.get("winner")) and name in to_come:
        found["space"] = space | {"winner": average_of(found.get("parents"))}
    return found
