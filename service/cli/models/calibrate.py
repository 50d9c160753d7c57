"""`evomerge calibrate` and `evomerge learn`: models looked at through texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import parent_named, recipe_in
from service.cli.spec_file import RECIPE_ENDINGS
from service.cli.terminal.output import CommandError, note, note_console, say, say_recipe
from service.cli.terminal.units import size
from workers.pools.actor import calibrate_here, learn_here
from workers.protocol.calibration_orders import (
    CalibrationOrder,
    LearningOrder,
    ProgressOf,
    RecordKind,
    TextsToUse,
)

TextsOption = Annotated[
    Path, typer.Option("--texts", metavar="FILE", help="One text per line, or .jsonl with `text`.")
]
CountOption = Annotated[int, typer.Option("--texts-used", min=1, help="How many texts, drawn by the seed.")]
LengthOption = Annotated[int, typer.Option("--length", min=2, help="Most tokens of a text.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal results.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, org/name or org/name@revision.")],
    texts: TextsOption,
    record: Annotated[
        str, typer.Option("--record", metavar="KINDS", help="Of fisher, gram and routing, by commas.")
    ] = "fisher,gram",
    count: CountOption = 256,
    length: LengthOption = 512,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where to.", show_default="where merges look for them"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record on texts what merge methods need to know of a model.

    fisher: for fisher and gradient_matching. gram: for regmean. routing: for merge-experts. A record
    lies beside the model, or in ~/.cache/evomerge/records where that is not ours to write to.
    """
    order = CalibrationOrder(
        parent=parent_named(model),
        texts=_texts(texts, count, length, seed),
        kinds=_kinds(record),
        device=device,
        folder=None if out is None else str(out.expanduser().absolute()),
    )
    with _told() as progress:
        made = calibrate_here(order, progress)
    for found in made.records:
        used = f"{found.texts} texts, {found.tokens} tokens"
        note(f"{found.kind}: {used}, {found.tensors} tensors, {size(found.bytes)}")
        if not as_json:
            say(found.file)
    if as_json:
        say(json.dumps([asdict(found) for found in made.records], indent=2))


def learn(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...|RECIPE.yml", help="Fine-tuned models, or a recipe's.")
    ],
    texts: TextsOption,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="Their ancestor.", show_default="the recipe's"),
    ] = None,
    method: Annotated[
        Literal["task_arithmetic", "self_positioning"],
        typer.Option("--method", help="Learn weights, or positions and their factor."),
    ] = "task_arithmetic",
    scope: Annotated[
        Literal["task", "layer", "tensor"], typer.Option("--scope", help="One weight per model and what.")
    ] = "layer",
    objective: Annotated[
        Literal["entropy", "cross_entropy"],
        typer.Option("--objective", help="Sure predictions, or those of the texts."),
    ] = "entropy",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of gradient descent.")] = 500,
    rate: Annotated[float, typer.Option("--rate", help="Adam's learning rate.")] = 1e-3,
    initial: Annotated[
        float | None,
        typer.Option("--initial", help="Where to begin.", show_default="weights 0.3, positions 1"),
    ] = None,
    low: Annotated[float, typer.Option("--low", help="Least weight.")] = 0.0,
    high: Annotated[float, typer.Option("--high", help="Largest weight.")] = 1.0,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Texts per step.")] = 16,
    penalty: Annotated[
        float, typer.Option("--penalty", help="On the factor of self_positioning.", min=0.0)
    ] = 0.0,
    count: CountOption = 256,
    length: LengthOption = 512,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Learn by gradient how much of each model to take, and write the recipe as mergekit YAML.

    AdaMerging with --objective entropy, aTLAS with --scope tensor --objective cross_entropy. All models
    are in memory at once. Of a recipe only the models count.
    """
    found = _models(models, base)
    order = LearningOrder(
        base=found[0],
        parents=found[1],
        texts=_texts(texts, count, length, seed),
        method=method,
        scope=scope,
        objective=objective,
        steps=steps,
        rate=rate,
        initial=initial,
        low=low,
        high=high,
        batch=batch,
        penalty=penalty,
        device=device,
    )
    with _told() as progress:
        learned = learn_here(order, progress)
    note(f"{objective} per token: {learned.before:.4f} before, {learned.after:.4f} after {steps} steps")
    say_recipe(write_recipe(learned.recipe), as_json=as_json)


@contextmanager
def _told() -> Iterator[ProgressOf]:
    """Shows a bar per stage."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=note_console()) as shown:

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = shown.add_task(stage, total=total)
            shown.update(bars[stage], completed=done)

        yield progress


def _kinds(text: str) -> tuple[RecordKind, ...]:
    known: tuple[RecordKind, ...] = get_args(RecordKind)
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise typer.BadParameter(
            f"{', '.join(unknown) or text!r} is no record; choose from {', '.join(known)}"
        )
    return tuple(kind for kind in known if kind in words)


def _texts(file: Path, count: int, length: int, seed: int) -> TextsToUse:
    return TextsToUse(str(file.expanduser().absolute()), count, length, seed)


def _models(models: list[str], base: str | None) -> tuple[Parent, tuple[Parent, ...]]:
    """Returns the base and the other models that the arguments name.

    Raises:
        CommandError: There is no base, or the recipe cannot be read.
    """
    if len(models) == 1 and models[0].endswith(RECIPE_ENDINGS):
        recipe = recipe_in(Path(models[0]))
        own = recipe.base if base is None else parent_named(base)
        parents = tuple(parent for parent in recipe.all_parents if parent not in (recipe.base, own))
    else:
        own, parents = (
            None if base is None else parent_named(base),
            tuple(parent_named(model) for model in models),
        )
    if own is None:
        raise CommandError("there is no base", "name the models' ancestor with --base", code=Exit.INVALID)
    return own, parents
