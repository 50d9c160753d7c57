"""Looks at the parents of a merge before any weight is read: what they are, and what will not work.

Reads configs, tokenizers, safetensors headers and a few kilobytes of weights.  Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from search_spaces import Parent, Recipe
from search_spaces.methods import method_named
from workers.errors import WorkerError
from workers.fitted_parents import FittedParents, fit_parents
from workers.hub import inspect_parent
from workers.idle_filters import idle_filters
from workers.inspection import compare_layouts
from workers.layout import Layout
from workers.misfits import misfits, unprepared
from workers.parent_facts import ParentFacts, facts_of
from workers.vocabulary import read_vocabulary
from workers.weight_samples import names_to_sample, relative_distance, sample

RELATED = 0.5
"""Relative distance of sampled weights below which models probably have an ancestor in common:
finetuning moves weights by some per cent, models trained apart are sqrt(2) away from each other.
"""
_WORKING = 4  # bytes per number while a tensor is merged


@dataclass(frozen=True, slots=True)
class Finding:
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
class Needs:
    """What a merge takes; bytes.

    Attributes:
        download: What is not on this machine.
        read: From all parents.
        write: The merged checkpoint.
        live: With the parents and the merged model in memory, without what an evaluation adds.
        streamed: With one tensor of each in memory.
    """

    download: int
    read: int
    write: int
    live: int
    streamed: int


@dataclass(frozen=True, slots=True)
class Preflight:
    """All that was found.

    Attributes:
        refusals: What cannot work.
        warnings: What can, and is seldom meant.
    """

    parents: tuple[ParentFacts, ...]
    comparisons: tuple[Comparison, ...]
    needs: Needs | None
    refusals: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


def preflight_recipe(recipe: Recipe) -> Preflight:
    """Looks at everything that a recipe needs.  Never raises for what is wrong with a parent."""
    first = recipe.base or recipe.tokenizer_owner
    parents = tuple(dict.fromkeys((first, *recipe.all_parents, recipe.tokenizer_owner)))
    layouts, facts, refusals = _inspected(parents)
    fitted: FittedParents | None = None
    if len(layouts) == len(parents):
        try:
            fitted = fit_parents(recipe, layouts)
        except WorkerError as error:
            refusals.append(_finding(error))
        else:
            refusals += map(_finding, misfits(recipe, fitted))
        refusals += map(_finding, unprepared(recipe, layouts))
    merged = [layouts[parent] for parent in recipe.merged_parents if parent in layouts]
    comparisons = _comparisons(layouts.get(first), merged)
    warnings = [*_warnings(facts, comparisons), *_ancestry(recipe, comparisons)]
    warnings += _idle(recipe, [name for layout in merged for name in layout.tensors])
    needs = None if refusals or fitted is None else _needs(recipe, fitted, facts)
    return Preflight(tuple(facts), comparisons, needs, tuple(refusals), tuple(warnings))


def preflight_models(parents: Sequence[Parent]) -> Preflight:
    """Looks at models that may be merged with each other; the first is what they are compared with."""
    layouts, facts, refusals = _inspected(parents)
    present = list(layouts.values())
    refusals += map(_finding, compare_layouts(present))
    comparisons = _comparisons(present[0] if present else None, present)
    return Preflight(tuple(facts), comparisons, None, tuple(refusals), tuple(_warnings(facts, comparisons)))


def _inspected(parents: Sequence[Parent]) -> tuple[dict[Parent, Layout], list[ParentFacts], list[Finding]]:
    layouts, facts, refusals = {}, [], []
    for parent in dict.fromkeys(parents):
        try:
            layouts[parent] = inspect_parent(parent)
            facts.append(facts_of(layouts[parent]))
        except WorkerError as error:
            layouts.pop(parent, None)
            refusals.append(_finding(error))
        except OSError as error:
            layouts.pop(parent, None)
            refusals.append(
                Finding(str(parent), f"cannot be read ({error.strerror})", "check its permissions")
            )
    return layouts, facts, refusals


def _finding(error: WorkerError) -> Finding:
    return Finding(error.field, error.detail, error.remedy)


def _comparisons(first: Layout | None, layouts: Sequence[Layout]) -> tuple[Comparison, ...]:
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


def _warnings(facts: Sequence[ParentFacts], comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    for other in facts[1:]:
        yield from _differences(other, facts[0])
    for compared in comparisons:
        if compared.distance == 0.0 and compared.same_shapes:
            detail = f"its sampled weights are those of {compared.other}"
            yield Finding(compared.parent, detail, "see whether it is the same model twice")
    for each in facts:
        if not each.here and each.revision is None:
            yield Finding(each.parent, "names no revision", "pin one as org/name@commit, so that it stays")


def _differences(other: ParentFacts, first: ParentFacts) -> Iterator[Finding]:
    if other.context != first.context:
        detail = f"was made for texts of {other.context} tokens, {first.parent} for {first.context}"
        yield Finding(other.parent, detail, "the merged model takes the tokenizer owner's setting")
    if other.rope != first.rope:
        detail = f"rotary positions are {dict(other.rope)}, those of {first.parent} {dict(first.rope)}"
        yield Finding(other.parent, detail, "weights learned for other positions seldom merge well")
    if other.dtypes.keys() != first.dtypes.keys():
        detail = f"is stored as {'/'.join(other.dtypes)}, {first.parent} as {'/'.join(first.dtypes)}"
        yield Finding(other.parent, detail, "write dtype in the recipe if the result's matters")
    if other.licence != first.licence:
        licences = [each.licence or "not given" for each in (other, first)]
        detail = f"its licence is {licences[0]}, that of {first.parent} is {licences[1]}"
        yield Finding(other.parent, detail, "see which terms the merged model falls under")


def _idle(recipe: Recipe, names: Sequence[str]) -> Iterator[Finding]:
    """Yields filters that choose nothing and are no mistake."""
    for idle in idle_filters(recipe, names) if names else ():
        if not idle.is_mistake:
            yield Finding(idle.field, idle.detail, "it changes nothing, and can be taken out")


def _ancestry(recipe: Recipe, comparisons: Sequence[Comparison]) -> Iterator[Finding]:
    """Yields what speaks against the base of a method on task vectors, or against averaging at all."""
    if recipe.method == "passthrough":
        return
    based = method_named(recipe.method).needs_base
    needs = "task vectors from it make no sense" if based else "averages of such fail"
    for compared in comparisons:
        if compared.distance is not None and compared.distance >= RELATED:
            detail = f"its weights look unrelated to {compared.other}'s: {needs}"
            yield Finding(compared.parent, detail, "merge models that come from one, or align them first")


def _needs(recipe: Recipe, fitted: FittedParents, facts: Sequence[ParentFacts]) -> Needs:
    merged = [fitted.layouts[parent] for parent in recipe.merged_parents]
    owner = fitted.layouts[recipe.tokenizer_owner]
    out = recipe.out_dtype or recipe.dtype
    sizes = {"float32": 4, "float16": 2, "bfloat16": 2}
    numbers = sum(math.prod(entry.shape) for entry in owner.tensors.values())
    written = numbers * sizes[out] if out is not None else owner.bytes
    spans = [part.sources[0].layers or (0, owner.layers) for part in recipe.slices]
    depth = sum(end - start for start, end in spans)
    layered = sum(e.bytes for n, e in owner.tensors.items() if owner.layer_of(n) is not None)
    written += int((depth / owner.layers - 1) * layered * (written / max(owner.bytes, 1)))
    largest = max((max(e.bytes for e in layout.tensors.values()) for layout in merged), default=0)
    longest = max((max(math.prod(e.shape) for e in layout.tensors.values()) for layout in merged), default=0)
    return Needs(
        download=sum(each.bytes for each in facts if not each.here),
        read=sum(layout.bytes for layout in merged),
        write=written,
        live=sum(layout.bytes for layout in merged) + written,
        streamed=(len(merged) + 1) * largest + (len(merged) + 2) * _WORKING * longest,
    )


def as_json(found: Preflight) -> Mapping[str, object]:
    """Returns the report in types that JSON has."""
    return asdict(found) | {"refused": bool(found.refusals)}
