"""Whose vision tower an experiment's models get, from what the spec says and which parents see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces import Eyes, Heads, Parent
from service.errors import Mistake
from service.specification.reading import read_part
from workers.checkpoints.inspection import compare_layouts, is_tied, tying_is_open
from workers.checkpoints.language_part import is_multimodal, with_one_kind
from workers.checkpoints.layout import Layout
from workers.compatibility.eyes import check_eyes
from workers.errors import MismatchError

SEARCH = "search"
_POINTER = "/vision"


@dataclass(frozen=True, slots=True)
class Seen:
    """Which parents see, and what keeps them from merging with each other.

    Attributes:
        eyes: Whose vision tower models get; None where no parent sees, or it cannot be said.
        mistakes: In what the spec says of it.
        mismatches: Of the parents.
        told: What must be known of it.
        heads: Which parents tie their embeddings, where not all do or none.
    """

    eyes: Eyes | None
    mistakes: Sequence[Mistake]
    mismatches: Sequence[MismatchError]
    told: tuple[str, ...] = ()
    heads: Heads | None = None


def look(layouts: Mapping[Parent, Layout], said: object, first: Parent | None) -> Seen:
    """Looks at the parents of an experiment.

    Args:
        layouts: Of the parents and the base.
        said: What the spec says of `vision`.
        first: The base, or else the first parent: whose tokenizer merged models take where it sees.
    """
    wanted = said if said in (None, SEARCH) else read_part(Parent, said)
    eyes, mistakes = _eyes(layouts, wanted, first)
    heads = _heads(layouts)
    if eyes is None:
        found = () if mistakes else compare_layouts(list(layouts.values()), heads=heads is None)
        return Seen(None, mistakes, found, _heads_in_words(heads), heads)
    told = (_in_words(eyes, tuple(layouts)), *_heads_in_words(heads))
    return Seen(eyes, (), _mismatches(layouts, eyes, heads), told, heads)


def _heads(layouts: Mapping[Parent, Layout]) -> Heads | None:
    """Returns who ties embeddings, where some do and some do not; None where that is open, or one cannot."""
    tied = tuple(parent for parent, layout in layouts.items() if is_tied(layout))
    untied = tuple(parent for parent in layouts if parent not in tied)
    fixed = any(each.config.get("is_encoder_decoder") or tying_is_open(each) for each in layouts.values())
    return None if fixed or not (tied and untied) else Heads(tied=tied, untied=untied)


def _heads_in_words(heads: Heads | None) -> tuple[str, ...]:
    if heads is None:
        return ()
    named = ", ".join(map(str, heads.tied))
    others = ", ".join(map(str, heads.untied))
    told = f"heads: {named} tied to its input embeddings, {others} not: merges of them have one of their own"
    return (told,)


def _eyes(
    layouts: Mapping[Parent, Layout], wanted: object, first: Parent | None
) -> tuple[Eyes | None, list[Mistake]]:
    """Returns whose eyes models get, or why that cannot be said."""
    seeing = tuple(parent for parent, layout in layouts.items() if is_multimodal(layout))
    if not seeing:
        return None, [] if wanted is None else [
            _mistake("no parent sees", "leave it out, or add one that does")
        ]
    names = ", ".join(map(str, seeing))
    if isinstance(wanted, Parent) and wanted not in seeing:
        return None, [_mistake(f"{wanted} is none of the parents that see", f"name one of: {names}")]
    if wanted == SEARCH and len(seeing) == 1:
        return None, [_mistake(f"only {names} sees, which leaves nothing to search", "leave vision out")]
    owner = first if first in seeing else wanted if isinstance(wanted, Parent) else seeing[0]
    if wanted is None and owner != first and len(seeing) > 1:
        detail = f"{len(seeing)} parents see, and none of them is named"
        return None, [_mistake(detail, f"name one of: {names}, or write vision: {SEARCH}")]
    assert isinstance(owner, Parent)  # noqa: S101 - for the type checker
    choices = seeing if wanted == SEARCH else (wanted if isinstance(wanted, Parent) else owner,)
    return Eyes(seeing=seeing, owner=owner, choices=choices), []


def _mismatches(layouts: Mapping[Parent, Layout], eyes: Eyes, heads: Heads | None) -> list[MismatchError]:
    try:
        for parent in eyes.choices:
            check_eyes(layouts[parent], layouts[eyes.owner])
        alike, renamed = with_one_kind(layouts, eyes.owner)
    except MismatchError as error:
        return [error]
    ordered = sorted(alike.values(), key=lambda layout: layout.parent != eyes.owner)
    return compare_layouts(ordered, vocabularies=not renamed, heads=heads is None)


def _in_words(eyes: Eyes, parents: Sequence[Parent]) -> str:
    readers = [str(parent) for parent in parents if parent not in eyes.seeing]
    whose = " or ".join(map(str, eyes.choices))
    searched = ", whichever the search finds better" if len(eyes.choices) > 1 else ""
    told = f"vision: merged models get vision tower and projector of {whose}{searched}"
    if readers:
        told += f"; {', '.join(readers)} without one: asked as the language model of {eyes.owner}"
    return told


def _mistake(detail: str, remedy: str) -> Mistake:
    return Mistake(_POINTER, "vision", detail, remedy)
