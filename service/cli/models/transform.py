"""Commands that turn checkpoints into a checkpoint: align, partial-merge, merge-experts and others.

What comes out is an ordinary checkpoint (or adapter), which can be a parent.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.cli.connection import JsonOption
from service.cli.model_arguments import parent_named
from service.cli.models.written import say_written
from service.cli.terminal.output import note, note_console
from service.cli.terminal.units import size
from workers.pools.inline_pool import InlinePool
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import (
    AdapterMergeOrder,
    Destination,
    ExpertMergeOrder,
    PartialMergeOrder,
    TransformOrder,
    TransplantOrder,
    WeightMatchingOrder,
)

MOST_RESULTS = 8  # lines of the report that are shown

OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where to write the result.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace a folder that exists.")]
VerifyOption = Annotated[
    bool, typer.Option("--verify/--no-verify", help="Have transformers load it before it gets its name.")
]
ShardOption = Annotated[
    float, typer.Option("--shard-size", min=0.001, metavar="GB", help="Largest file of weights.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal results.")]


def align(
    parent: Annotated[str, typer.Argument(metavar="PARENT", help="The model to reorder.")],
    reference: Annotated[str, typer.Option("--to", metavar="MODEL", help="The model to match.")],
    out: OutOption,
    seed: SeedOption = 0,
    replace: ReplaceOption = False,
    shard_gigabytes: ShardOption = 5.0,
    verify: VerifyOption = True,
    as_json: JsonOption = False,
) -> None:
    """Reorder a model's hidden units, heads and experts so that they match another model's.

    The result computes what PARENT does, but its weights can be merged with those of a model of other
    origin. Models that were trained from one base are aligned already.
    """
    place = _destination(out, replace=replace, shard_gigabytes=shard_gigabytes, verify=verify)
    _carry_out(
        WeightMatchingOrder(parent_named(parent), parent_named(reference), place, seed), as_json=as_json
    )


def partial_merge(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A model.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another of the same architecture.")],
    out: OutOption,
    ratio: Annotated[
        float, typer.Option("--ratio", min=0.0, max=1.0, help="Share of MLP units that stay apart.")
    ] = 0.25,
    texts: Annotated[
        Path | None,
        typer.Option("--texts", metavar="FILE", help="Texts, one per line, to fit output projections to."),
    ] = None,
    texts_used: Annotated[int, typer.Option("--texts-used", min=1, help="At most so many texts.")] = 128,
    length: Annotated[int, typer.Option("--length", min=1, help="Tokens read of each text.")] = 512,
    seed: SeedOption = 0,
    replace: ReplaceOption = False,
    shard_gigabytes: ShardOption = 5.0,
    verify: VerifyOption = True,
    as_json: JsonOption = False,
) -> None:
    """Merge two models of different origin, and keep the MLP units that match worst (PLeaS).

    Attention is aligned and averaged. MLPs grow by the share of units that stay apart. With texts, their
    output projections are fitted to answer as both models do on average; this loads all three models.
    """
    order = PartialMergeOrder(
        first=parent_named(first),
        second=parent_named(second),
        destination=_destination(out, replace=replace, shard_gigabytes=shard_gigabytes, verify=verify),
        ratio=ratio,
        seed=seed,
        texts=None if texts is None else str(texts.expanduser().absolute()),
        texts_used=texts_used,
        length=length,
    )
    _carry_out(order, as_json=as_json)


def merge_experts(
    parent: Annotated[str, typer.Argument(metavar="MODEL", help="A mixture of experts.")],
    experts: Annotated[int, typer.Option("--experts", min=1, help="Expert groups per layer.")],
    out: OutOption,
    keep: Annotated[
        Literal["reduced", "duplicated"],
        typer.Option("--keep", help="One expert per group, or one per member with the router as it is."),
    ] = "reduced",
    similarity: Annotated[
        Literal["logits", "rows"],
        typer.Option("--similarity", help="Of recorded router logits, or of the router's rows."),
    ] = "logits",
    routing: Annotated[
        Path | None,
        typer.Option(
            "--routing", metavar="FILE", help="The routing record.", show_default="beside the model"
        ),
    ] = None,
    replace: ReplaceOption = False,
    shard_gigabytes: ShardOption = 5.0,
    verify: VerifyOption = True,
    as_json: JsonOption = False,
) -> None:
    """Merge a mixture's experts into fewer, guided by how often each is used (M-SMoE).

    Needs a routing record: evomerge calibrate MODEL --texts FILE --record routing.
    """
    place = _destination(out, replace=replace, shard_gigabytes=shard_gigabytes, verify=verify)
    file = None if routing is None else str(routing.expanduser().absolute())
    _carry_out(
        ExpertMergeOrder(parent_named(parent), place, experts, keep, similarity, file), as_json=as_json
    )


def merge_adapters(
    adapters: Annotated[list[Path], typer.Argument(metavar="ADAPTER...", help="LoRA adapters' folders.")],
    out: OutOption,
    rank: Annotated[
        int | None,
        typer.Option("--rank", min=1, help="Of the merged adapter.", show_default="the largest of theirs"),
    ] = None,
    parameter_reweighting: Annotated[
        bool, typer.Option(help="Stretch each centroid to its members' mean norm.")
    ] = True,
    output_reweighting: Annotated[bool, typer.Option(help="Scale by sqrt(mean rank / merged rank).")] = True,
    norm: Annotated[Literal["inf", "2"], typer.Option("--norm", help="That members are measured in.")] = "2",
    sign_align: Annotated[
        bool, typer.Option("--sign-align", help="Count a unit and its negative as one.")
    ] = False,
    method: Annotated[
        Literal["lego", "ties"],
        typer.Option("--method", help="Cluster ranks, or merge the factors A and B each by TIES."),
    ] = "lego",
    weights: Annotated[
        list[float] | None,
        typer.Option("--weight", help="Of ties; one per adapter, in order.", show_default="equal, sum 1"),
    ] = None,
    density: Annotated[
        float, typer.Option("--density", min=0.0, max=1.0, help="Of ties; share of entries that is kept.")
    ] = 0.7,
    seed: SeedOption = 0,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Merge LoRA adapters of one base into one adapter: rank by rank (LoRA-LEGO), or by TIES (GENOME)."""
    order = AdapterMergeOrder(
        adapters=tuple(str(folder.expanduser().absolute()) for folder in adapters),
        destination=_destination(out, replace=replace, shard_gigabytes=5.0, verify=False),
        rank=rank,
        seed=seed,
        parameter_reweighting=parameter_reweighting,
        output_reweighting=output_reweighting,
        norm=norm,
        sign_align=sign_align,
        method=method,
        weights=tuple(weights or ()),
        density=density,
    )
    _carry_out(order, as_json=as_json)


def transplant(
    instruct: Annotated[str, typer.Argument(metavar="INSTRUCT", help="The model whose body is kept.")],
    adapted: Annotated[
        str, typer.Option("--vocabulary", metavar="MODEL", help="The base, trained on with new tokens.")
    ],
    out: OutOption,
    base: Annotated[
        str | None, typer.Option("--base", metavar="MODEL", help="What both others were trained from.")
    ] = None,
    method: Annotated[
        Literal["direct", "overlap", "conversion"],
        typer.Option("--method", help="How the instruct model's embeddings differ from the base's."),
    ] = "overlap",
    replace: ReplaceOption = False,
    shard_gigabytes: ShardOption = 5.0,
    verify: VerifyOption = True,
    as_json: JsonOption = False,
) -> None:
    """Give an instruct model the vocabulary that its base learned in continued pre-training (LEP)."""
    place = _destination(out, replace=replace, shard_gigabytes=shard_gigabytes, verify=verify)
    origin = None if base is None else parent_named(base)
    _carry_out(
        TransplantOrder(parent_named(instruct), parent_named(adapted), place, origin, method), as_json=as_json
    )


def _destination(out: Path, *, replace: bool, shard_gigabytes: float, verify: bool) -> Destination:
    return Destination(str(out.expanduser().absolute()), replace, int(shard_gigabytes * 1e9), verify)


def _carry_out(order: TransformOrder, *, as_json: bool) -> None:
    done = _with_progress(order)
    results = json.loads(done.report)["results"]
    for name, value in list(results.items())[:MOST_RESULTS]:
        note(f"{name}: {json.dumps(value)}")
    note(f"Written ({size(done.exported.bytes)}); digest {done.exported.digest}")
    if done.exported.verified:
        note(done.exported.verified)
    say_written(done.exported, as_json=as_json, results=results)


def _with_progress(order: TransformOrder) -> Transformed:
    """Carries the order out on a thread, and shows how the unfinished folder beside its place grows."""
    results: list[object] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            results.append(InlinePool().run_job(order))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=note_console()) as progress:
        task = progress.add_task("reading", total=None)
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            written = _written(Path(order.destination.folder))
            progress.update(task, description=f"{size(written)} written" if written else "reading")
    if errors:
        raise errors[0]
    if not isinstance(results[0], Transformed):
        raise TypeError(f"a transform order was answered with {type(results[0]).__name__}")
    return results[0]


def _written(folder: Path) -> int:
    try:
        partial = max(folder.parent.glob(f".{folder.name}.partial-*"), key=lambda path: path.stat().st_mtime)
        return sum(path.stat().st_size for path in partial.iterdir())
    except (OSError, ValueError):  # not begun yet, or just put in place
        return 0
