"""`evomerge compose`: recipes that papers gave a name to, written as mergekit YAML."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from search_spaces import Parent, Recipe
from search_spaces.errors import SpaceError
from search_spaces.recipes import named_recipes
from search_spaces.recipes.mergekit.problems import unwrap
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.spec_file import with_absolute_parents
from service.cli.terminal.output import CommandError, note, say_recipe
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.checkpoints.layout import Layout

NumberFormat = StrEnum("NumberFormat", ["float32", "float16", "bfloat16"])
Expert = StrEnum("Expert", ["language", "task"])

Base = Annotated[str, typer.Argument(metavar="BASE", help="The common ancestor.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, org/name or org/name@revision.")]
Scale = Annotated[float, typer.Option("--scale", help="Factor on what is added.")]
Layers = Annotated[
    int | None, typer.Option("--layers", min=1, help="How many layers a model has.", show_default="looked up")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to.", show_default="stdout")]
Format = Annotated[
    NumberFormat | None,
    typer.Option("--dtype", help="Number format of the merge.", show_default="the models' own"),
]

compose = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Write a recipe that a paper gave a name to, as mergekit YAML; `evomerge merge` carries it out.",
)


@compose.command(short_help="Average models.")
def uniform_soup(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Fine-tuned models.")],
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """Average models: a uniform soup (arXiv 2203.05482)."""
    _write(lambda: named_recipes.uniform_soup(models), out, dtype, as_json=as_json)


@compose.command(short_help="CONTINUED + scale (CHAT - BASE).")
def chat_vector(
    base: Base,
    chat: Annotated[str, typer.Argument(metavar="CHAT", help="The base, tuned for chat.")],
    continued: Annotated[str, typer.Argument(metavar="CONTINUED", help="The base, trained further.")],
    scale: Scale = 1.0,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """CONTINUED + scale (CHAT - BASE): a language or domain model learns to chat (arXiv 2310.04799)."""
    _write(lambda: named_recipes.chat_vector(base, chat, continued, scale), out, dtype, as_json=as_json)


@compose.command(short_help="NEW_BASE + scale (INSTRUCT - BASE).")
def instruction_residual(
    base: Base,
    instruct: Annotated[str, typer.Argument(metavar="INSTRUCT", help="The base, tuned on instructions.")],
    new_base: Annotated[str, typer.Argument(metavar="NEW_BASE", help="The base, trained further.")],
    scale: Scale = 1.0,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """NEW_BASE + scale (INSTRUCT - BASE): instruction tuning moves on (arXiv 2410.10739)."""
    _write(
        lambda: named_recipes.instruction_residual(base, instruct, new_base, scale),
        out,
        dtype,
        as_json=as_json,
    )


@compose.command(short_help="NEW_BASE + scale (TUNED - OLD_BASE).")
def portllm_patch(
    old_base: Annotated[str, typer.Argument(metavar="OLD_BASE", help="What was tuned.")],
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="A model, or OLD_BASE+adapter.")],
    new_base: Annotated[str, typer.Argument(metavar="NEW_BASE", help="The update of OLD_BASE.")],
    scale: Scale = 1.0,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """NEW_BASE + scale (TUNED - OLD_BASE): a patch moves to the updated model (arXiv 2410.10870)."""
    _write(lambda: named_recipes.portllm_patch(old_base, tuned, new_base, scale), out, dtype, as_json=as_json)


@compose.command(short_help="BASE - scale (TUNED - BASE).")
def task_negation(
    base: Base,
    tuned: Annotated[str, typer.Argument(metavar="TUNED", help="The base, tuned on what is to go.")],
    scale: Scale = 1.0,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """BASE - scale (TUNED - BASE): unlearn what fine-tuning taught (arXiv 2212.04089)."""
    _write(lambda: named_recipes.task_negation(base, tuned, scale), out, dtype, as_json=as_json)


@compose.command(short_help="TASK with LANGUAGE's lowest and highest layers.")
def layer_swap(
    language: Annotated[str, typer.Argument(metavar="LANGUAGE", help="The language expert.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task expert.")],
    bottom: Annotated[int, typer.Option("--bottom", min=0, help="Lowest layers from LANGUAGE.")],
    top: Annotated[int, typer.Option("--top", min=0, help="Highest layers from LANGUAGE.")],
    transition: Annotated[int, typer.Option("--transition", min=0, help="Mixed layers at either end.")] = 0,
    weight: Annotated[float, typer.Option("--weight", help="LANGUAGE's share of mixed layers.")] = 0.5,
    embeddings: Annotated[
        Expert, typer.Option("--embeddings", help="Whose embeddings, final norm and head.")
    ] = Expert["language"],
    layers: Layers = None,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """TASK with LANGUAGE's lowest and highest layers (arXiv 2410.01335)."""
    owner: Literal["language", "task"] = "language" if embeddings == "language" else "task"

    def recipe() -> Recipe:
        layout = None if layers else _layout(task)  # who says how many layers there are need not have them
        return named_recipes.layer_swap(
            language,
            task,
            layers or (layout.layers if layout else 0),
            layer_prefix=layout.layer_prefix if layout else named_recipes.LLAMA_LAYERS,
            bottom=bottom,
            top=top,
            transition=transition,
            weight=weight,
            embeddings=owner,
        )

    _write(recipe, out, dtype, as_json=as_json)


@compose.command(short_help="All layers, several times over.")
def g_stack(
    model: Model,
    times: Annotated[int, typer.Option("--times", min=1, help="How often the layers are repeated.")] = 2,
    layers: Layers = None,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """All layers, several times over: the start of training a deeper model (arXiv 2405.15319)."""
    _write(lambda: named_recipes.g_stack(model, layers or _layers(model), times), out, dtype, as_json=as_json)


@compose.command(short_help="Two copies, each without some layers.")
def depth_upscaling(
    model: Model,
    dropped: Annotated[int, typer.Option("--dropped", min=0, help="Layers that each copy lacks.")] = 8,
    layers: Layers = None,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """Two copies, one without its last layers, one without its first (SOLAR, arXiv 2312.15166)."""
    _write(
        lambda: named_recipes.depth_upscaling(model, layers or _layers(model), dropped),
        out,
        dtype,
        as_json=as_json,
    )


@compose.command(short_help="Overlapping runs of a model's layers, stacked.")
def self_merge(
    model: Model,
    window: Annotated[int, typer.Option("--window", min=1, help="Layers in a run.")],
    stride: Annotated[int, typer.Option("--stride", min=1, help="How much further up the next run begins.")],
    layers: Layers = None,
    out: Out = None,
    dtype: Format = None,
    as_json: JsonOption = False,
) -> None:
    """Overlapping runs of a model's layers, stacked."""

    def recipe() -> Recipe:
        return named_recipes.self_merge(model, layers or _layers(model), window=window, stride=stride)

    _write(recipe, out, dtype, as_json=as_json)


def _layers(model: str) -> int:
    """Looks into a model's config, here or on the Hub."""
    return _layout(model).layers


def _layout(model: str) -> Layout:
    return inspect_parent(Parent.model_validate(model))


def _write(
    recipe: Callable[[], Recipe], out: Path | None, dtype: NumberFormat | None, *, as_json: bool
) -> None:
    """Writes the recipe, folders as absolute paths, so that the file can lie anywhere."""
    try:
        made = with_absolute_parents(recipe(), Path.cwd())
        text = write_recipe(made.model_copy(update={"dtype": None if dtype is None else dtype.value}))
    except SpaceError as error:
        raise CommandError(str(error), code=Exit.INVALID) from error
    except ValidationError as error:
        problems = "; ".join(str(problem) for problem in unwrap(error, "model"))
        raise CommandError(problems, code=Exit.INVALID) from error
    if out is None:
        say_recipe(text, as_json=as_json)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}", "check the path", code=Exit.FAILED) from error
    note(f"Written to {out}; carry it out with: evomerge merge {out} FOLDER")
