"""Whether the tensors that a recipe brings together fit each other.  Reads headers, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces import Parent, Source
from workers.checkpoints.layout import STRUCTURE, Layout, TensorEntry, text_config
from workers.checkpoints.number_formats import TORCH_NAMES
from workers.errors import MismatchError

_BUFFERS = (".inv_freq", ".masked_bias")
_VOCABULARY = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "lm_head.weight", "embed_out.weight")


@dataclass(frozen=True, slots=True)
class Member:
    """A tensor that takes part in a merge, or would if it were there.

    Attributes:
        name: Its name in its own checkpoint.
        entry: None where the checkpoint lacks it.
    """

    layout: Layout
    name: str
    entry: TensorEntry | None


def check_structure(layouts: Sequence[Layout]) -> None:
    """Refuses parents of different architectures.

    Raises:
        MismatchError: One differs from the first in class or in its attention heads.
    """
    first = layouts[0]
    for other in layouts[1:]:
        if other.architecture != first.architecture:
            detail = f"is a {other.architecture}, {first.parent} is a {first.architecture}"
            raise MismatchError(str(other.parent), detail, "merge models of one architecture")
        for key in STRUCTURE:
            mine, theirs = text_config(first).get(key), text_config(other).get(key)
            if mine != theirs and mine is not None and theirs is not None:
                detail = f"{key} is {theirs}, in {first.parent} it is {mine}"
                raise MismatchError(str(other.parent), detail, "merge models of one size and shape")


def layer_range(source: Source, layout: Layout) -> tuple[int, int]:
    """Returns the layers [start, end) that a source names.

    Raises:
        MismatchError: The parent is not that deep.
    """
    start, end = source.layers or (0, layout.layers)
    if end > layout.layers:
        raise MismatchError(
            str(source.parent),
            f"layers [{start}, {end}) are asked for, it has {layout.layers}",
            f"end at {layout.layers} or before",
        )
    return start, end


def check_same_length(ranges: Sequence[tuple[Parent, tuple[int, int]]], place: str) -> None:
    """Refuses a slice whose sources have different numbers of layers.

    Raises:
        MismatchError: Two sources differ.
    """
    first, (start, end) = ranges[0]
    for parent, (begin, stop) in ranges[1:]:
        if stop - begin != end - start:
            raise MismatchError(
                str(parent),
                f"{place} takes {stop - begin} of its layers, [{begin}, {stop}), and {end - start} of "
                f"{first}'s, [{start}, {end})",
                "give all sources of a slice equally many layers",
            )


def check_tensors(members: Sequence[Member]) -> None:
    """Refuses tensors of one role that differ in shape or kind, or that not all parents have.

    Raises:
        MismatchError: Names the parent, the tensor, both shapes and a remedy.
    """
    first = next(member for member in members if member.entry is not None)
    for other in members:
        if other.entry is None:
            raise _missing(other, first)
        _check_pair(first, other)


def _missing(lacking: Member, having: Member) -> MismatchError:
    remedy = "merge models of one architecture and size"
    if lacking.name.endswith(("lm_head.weight", "embed_out.weight")):
        remedy = "tie or untie the embeddings of all parents alike"
    return MismatchError(
        str(lacking.layout.parent),
        f"has no tensor {lacking.name!r}, {having.layout.parent} has {having.name!r}",
        remedy,
    )


def _check_pair(first: Member, other: Member) -> None:
    assert first.entry is not None  # noqa: S101 - for the type checker: the caller looked
    assert other.entry is not None  # noqa: S101
    field, whose = str(other.layout.parent), str(first.layout.parent)
    mine, theirs = first.entry.shape, other.entry.shape
    if mine != theirs:
        remedy = "merge models of one size"
        if other.name.endswith(_VOCABULARY) and mine[1:] == theirs[1:]:
            remedy = "merge models that share a tokenizer, or resize one's embeddings first"
        detail = f"{other.name!r} has shape {list(theirs)}, {first.name!r} of {whose} has {list(mine)}"
        raise MismatchError(field, detail, remedy)
    if is_mergeable(first.entry) != is_mergeable(other.entry):
        detail = (
            f"{other.name!r} holds {other.entry.dtype}, {first.name!r} of {whose} holds {first.entry.dtype}"
        )
        raise MismatchError(field, detail, "use checkpoints that were not quantized")


def is_mergeable(entry: TensorEntry) -> bool:
    """Says whether a tensor holds numbers that can be averaged."""
    return entry.dtype in TORCH_NAMES


def is_buffer(name: str, entry: TensorEntry) -> bool:
    """Says whether a tensor is a constant that the model computes anew: copied where it is, never mixed."""
    mask = name.endswith(".attn.bias") and len(entry.shape) == 4  # GPT-2's causal mask
    return mask or name.endswith(_BUFFERS)
