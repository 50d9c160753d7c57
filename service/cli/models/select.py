"""`evomerge select`: which models of a pool to merge, with the evidence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from evaluators.evaluations import Evaluated, EvaluationSettings
from search_spaces import Parent
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import parent_named
from service.cli.tasks.named_tasks import TaskFolders, spelt, tasks_named
from service.cli.terminal.output import CommandError, clean, data_console, note, say
from service.cli.terminal.tables import plain_table
from service.reports.items.pool_selection import ItemValues, Step, forward_selection
from workers.compatibility.preflight import preflight_models
from workers.pools.actor import evaluate_here, kinship_here
from workers.protocol.evaluation_orders import EvaluationOrder
from workers.protocol.kinship_orders import KinshipInquiry, KinshipReport


def select(
    pool: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...|FOLDER", help="The models, or a folder that holds their folders."),
    ],
    tasks: Annotated[
        list[str],
        typer.Option(
            *("--tasks", "-t"),
            metavar="NAME,...",
            help="What the merged model is to do: tasks, groups, or .jsonl files of questions.",
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="Their ancestor; kinship is that of task vectors then."),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=2, help="Most models to propose.")] = 4,
    folders: TaskFolders = None,
    limit: Annotated[
        float | None,
        typer.Option("--limit", "-L", min=0.0, help="Most items per task; below 1, the share of them."),
    ] = None,
    shots: Annotated[
        int | None, typer.Option(*spelt("--num-fewshot"), "-f", min=0, help="Solved examples per question.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="`auto` takes a GPU where there is one.")] = "auto",
    batch_size: Annotated[
        int, typer.Option(*spelt("--batch-size"), "-b", min=1, help="Rows of a pass.")
    ] = 64,
    as_json: JsonOption = False,
) -> None:
    """Propose which models of a pool to merge, before anything is merged.

    Each model is asked the tasks. Then models are taken one by one, each time the one that raises the
    ceiling most: the share of items that at least one of those taken gets right, the mean over tasks. It
    is what a merge that forgets nothing could reach, not a forecast; where answers can be guessed, guesses
    raise it, too. A model is proposed while it raises the ceiling by more than two standard errors.
    Kinship (correlation of task vectors, or of weights without --base) tells how alike models are.
    """
    origin = None if base is None else parent_named(base)
    models = tuple(parent_named(name) for name in _listed(pool))
    models = tuple(model for model in dict.fromkeys(models) if model != origin)
    _check(models, origin)
    named = [name.strip() for word in tasks for name in word.split(",") if name.strip()]
    with tasks_named(named, folders) as known:
        settings = EvaluationSettings(
            tasks=known.names, folders=known.folders, shots=shots, limit=limit, batch_size=batch_size
        )
        report = evaluate_here(EvaluationOrder(models, settings, device=device), note)
    values = _values(report.models)
    note("comparing the models' weights")
    kin = kinship_here(KinshipInquiry(models, origin))
    steps = forward_selection(values, lambda one, other: kin.between(one, other).correlation)
    found = Selection(models, origin, tuple(named), tuple(steps), most, kin, tuple(values))
    if as_json:
        say(json.dumps(found.as_json(), indent=2))
    else:
        found.show()


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found out of a pool.

    Attributes:
        models: As they were named.
        base: Their ancestor.
        tasks: As they were named.
        steps: All models in the order in which they would be taken.
        most: How many may be proposed.
        kin: How alike any two are.
        values: What each answered.
    """

    models: tuple[Parent, ...]
    base: Parent | None
    tasks: tuple[str, ...]
    steps: tuple[Step, ...]
    most: int
    kin: KinshipReport
    values: tuple[ItemValues, ...]

    @property
    def proposed(self) -> list[str]:
        """The best model, and those after it that clearly raise the ceiling."""
        count = 1
        while count < min(self.most, len(self.steps)) and self.steps[count].is_clear:
            count += 1
        return [str(self.models[step.model]) for step in self.steps[:count]]

    def as_json(self) -> dict[str, Any]:
        """Returns everything in types that JSON has."""
        return {
            "proposed": self.proposed,
            "steps": [
                asdict(step)
                | {"model": str(self.models[step.model]), "is_clear": step.is_clear}
                | {"scores": {t: float(v.mean()) for t, v in self.values[step.model].items()}}
                for step in self.steps
            ],
            "items": {task: int(v.size) for task, v in self.values[0].items()},
            "kinship": [asdict(pair) for pair in self.kin.pairs],
            "models": [str(model) for model in self.models],
        }

    def show(self) -> None:
        """Writes the table, and what follows from it."""
        tasks = list(self.values[0])
        table = plain_table(
            "MODEL", *(t.upper() for t in tasks), "ALONE", "CEILING", "GAIN", "ITEMS GAINED", "KINSHIP"
        )
        for place, step in enumerate(self.steps):
            table.add_row(
                clean(str(self.models[step.model])),
                *(f"{self.values[step.model][task].mean():.3f}" for task in tasks),
                f"{step.alone:.3f} ± {step.alone_stderr:.3f}",
                f"{step.ceiling:.3f}",
                f"+{step.gain:.3f} ± {step.stderr:.3f}" if place else "–",
                str(sum(step.gained.values())) if place else "–",
                "–" if step.likeness is None else f"{step.likeness:.3f}",
            )
        data_console().print(table)
        self._conclude()

    def _conclude(self) -> None:
        proposed = self.proposed
        if len(proposed) < 2:
            best, second = self.steps[0], self.steps[1]
            note(
                clean(
                    f"No model clearly gets right what {self.models[best.model]} does not: the next raises "
                    f"the ceiling by {second.gain:.3f} ± {second.stderr:.3f}; a merge has little to gain."
                )
            )
            return
        note(clean(f"Proposed: {', '.join(proposed)}"))
        words = ["evomerge", "init", "--models", *proposed]
        words += [] if self.base is None else ["--base", str(self.base)]
        note(clean(f"Begin with: {shlex.join([*words, '--tasks', *self.tasks])}"))


def _listed(pool: Sequence[str]) -> list[str]:
    """Returns the models that are named, or the folders with one in the folder that is.

    Raises:
        CommandError: The folder holds none.
    """
    if len(pool) != 1:
        return list(pool)
    folder = Path(pool[0]).expanduser()
    if not folder.is_dir() or (folder / "config.json").is_file():
        return list(pool)
    found = sorted(str(path.parent) for path in folder.glob("*/config.json"))
    if not found:
        hint = "name the models, or a folder that holds their folders"
        raise CommandError(f"{folder} holds no model's folder", hint, code=Exit.INVALID)
    return found


def _check(models: Sequence[Parent], base: Parent | None) -> None:
    """Refuses, before weights are read, what cannot be merged with each other.

    Raises:
        CommandError: There is nothing to choose from, or models do not fit together.
    """
    if len(models) < 2:
        detail = f"a pool of {len(models)} is no choice"
        raise CommandError(detail, "name two or more models beside the base", code=Exit.INVALID)
    found = preflight_models([*([] if base is None else [base]), *models])
    if found.refusals:
        listed = "; ".join(f"{each.field}: {each.detail}" for each in found.refusals)
        raise CommandError(clean(listed), "leave out what does not fit the others", code=Exit.INVALID)
    for each in found.warnings:
        note(clean(f"Mind: {each.field}: {each.detail}"))


def _values(models: Sequence[Evaluated]) -> list[ItemValues]:
    """Returns what each model answered, per task by its first metric, larger is better.

    Raises:
        CommandError: A task has no numbers for its items.
    """
    first: dict[str, str] = {}
    for each in models[0].answers:
        first.setdefault(each.task, each.metric)
    directions: Mapping[str, Mapping[str, bool]] = models[0].results.get("higher_is_better") or {}
    if not first:
        hint = "name tasks that mark their items one by one"
        raise CommandError("the tasks have no numbers for single items", hint, code=Exit.INVALID)
    found: list[ItemValues] = []
    for model in models:
        own = {(each.task, each.metric): each.values for each in model.answers}
        signs = {task: 1.0 if directions.get(task, {}).get(m.partition(",")[0], True) else -1.0
                 for task, m in first.items()}  # fmt: skip
        found.append(
            {
                task: signs[task] * np.array([value for _, value in sorted(own[task, metric].items())])
                for task, metric in first.items()
            }
        )
    return found
