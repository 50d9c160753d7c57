"""What speaks against merging parents with each other, or should be known first.  Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.checkpoints.layout import Layout
from workers.checkpoints.vocabulary import read_vocabulary
from workers.checkpoints.weight_samples import names_to_sample, relative_distance, sample
from workers.compatibility.network_settings import ROPE, differences
from workers.compatibility.parent_facts import facts_of

RELATED = 0.5
"""Relative distance of sampled weights below which models probably have an ancestor in common:
finetuning moves weights by some per cent, models trained apart are sqrt(2) away from each other.
"""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something to know: about whom, what it is, and what to do."""

    field: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A parent beside the first one, or the base.

    Attributes:
        other: Whom it is compared with.
        same_shapes: Every tensor has the same name and shape.
        differing_tokens: Tokens with another id, or none; None where they are not listed.
        distance: Of sampled weights, relative to the other's; None where none could be compared.
        evidence: What speaks for a common ancestor, or against it, in sentences.
    """

    parent: str
    other: str
    same_shapes: bool
    differing_tokens: int | None
    distance: float | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Concerns:
    """What parents bring along that a merge is refused for, and what is to be minded."""

    refusals: tuple[Concern, ...] = ()
    warnings: tuple[Concern, ...] = ()


def concerns_of(layouts: Sequence[Layout], *, averaged: bool, based: bool) -> Concerns:
    """Returns what is to be known of parents that an experiment merges; the first is compared with.

    Args:
        layouts: Of the parents and the base.
        averaged: Weights of several parents are added up, not only layers stacked.
        based: They are taken as differences from the first.
    """
    found = settings_that_differ(layouts, layouts[0] if layouts else None)
    comparisons = comparisons_of(layouts[0], layouts) if layouts and averaged else ()
    return Concerns(found.refusals, (*found.warnings, *unrelated(comparisons, based=based)))


def settings_that_differ(
    layouts: Sequence[Layout], owner: Layout | None, *, several_kinds: bool = False
) -> Concerns:
    """Returns in which settings of the network parents differ from the owner of config.json.

    Args:
        layouts: Of the parents.
        owner: Of the one whose config.json the merged model gets; None tells nothing.
        several_kinds: Looks also at models of another class, as one that sees beside one that reads.
    """
    refusals, warnings = [], []
    for layout in layouts:
        if owner is None or layout.parent == owner.parent:
            continue
        if layout.architecture != owner.architecture and not several_kinds:
            continue  # refused, or not to be merged with each other
        for each in differences(layout, owner):
            if each.key == ROPE:
                detail = f"{ROPE} are {each.mine}, those of {owner.parent} {each.theirs}"
            else:
                detail = f"{each.key} ({each.effect}) is {each.mine}, in {owner.parent} it is {each.theirs}"
            if each.refused:
                remedy = "merge models that compute alike: equal shapes do not make them one network"
                refusals.append(Concern(str(layout.parent), detail, remedy))
            else:
                remedy = f"the merged model computes with that of {owner.parent}, its tokenizer's owner"
                warnings.append(Concern(str(layout.parent), detail, remedy))
    return Concerns(tuple(refusals), tuple(warnings))


def comparisons_of(first: Layout | None, layouts: Sequence[Layout]) -> tuple[Comparison, ...]:
    """Returns each of the checkpoints beside the first."""
    if first is None:
        return ()
    others = [layout for layout in layouts if layout.parent != first.parent]
    return tuple(_compared(layout, first) for layout in others)


def _compared(layout: Layout, first: Layout) -> Comparison:
    shapes, others = ({n: e.shape for n, e in each.tensors.items()} for each in (layout, first))
    names = names_to_sample([first, layout])
    distance = relative_distance(sample(layout, names), sample(first, names)) if names else None
    mine, theirs = read_vocabulary(layout.folder), read_vocabulary(first.folder)
    tokens = None if mine is None or theirs is None else len(mine.differing(theirs))
    same = shapes == others
    evidence = tuple(_evidence(layout, first, distance, same_shapes=same))
    return Comparison(str(layout.parent), str(first.parent), same, tokens, distance, evidence)


def _evidence(layout: Layout, first: Layout, distance: float | None, *, same_shapes: bool) -> Iterator[str]:
    """Yields what tells whether two models come from one."""
    mine, theirs = facts_of(layout), facts_of(first)
    if any(name.rstrip("/").endswith(first.parent.model.rstrip("/")) for name in mine.made_from):
        yield f"it says that it was made from {first.parent}"
    for name in mine.made_from:
        if name in theirs.made_from:
            yield f"both say that they were made from {name}"
    yield "all tensors have the same names and shapes" if same_shapes else "names or shapes of tensors differ"
    if distance is not None:
        verdict = "they probably have an ancestor in common" if distance < RELATED else "they look unrelated"
        yield f"sampled weights are {distance:.1%} of their length apart: {verdict}"


def copies(comparisons: Sequence[Comparison]) -> Iterator[Concern]:
    """Yields models that may be there twice."""
    for compared in comparisons:
        if compared.distance == 0.0 and compared.same_shapes:
            detail = f"its sampled weights are those of {compared.other}"
            yield Concern(compared.parent, detail, "see whether it is the same model twice")


def unrelated(comparisons: Sequence[Comparison], *, based: bool = False) -> Iterator[Concern]:
    """Yields what speaks against the base of a method on task vectors, or against averaging at all."""
    needs = "task vectors from it make no sense" if based else "averages of such fail"
    for compared in comparisons:
        if compared.distance is not None and compared.distance >= RELATED:
            detail = f"its weights look unrelated to {compared.other}'s: {needs}"
            yield Concern(compared.parent, detail, "merge models that come from one, or align them first")
