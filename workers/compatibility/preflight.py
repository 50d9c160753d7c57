"""Looks at the parents of a merge before any weight is read: what they are, and what will not work.

Reads configs, tokenizers, safetensors headers, a few kilobytes of weights, and those that parents left as
they were.  Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import method_named
from search_spaces.recipes.idle_filters import idle_filters
from workers.checkpoints.comparing.weight_changes import WeightChanges, unchanged_in, weight_changes
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.checkpoints.inspection import compare_layouts
from workers.checkpoints.layout import Layout
from workers.compatibility.checks import compatibility_problems, unprepared
from workers.compatibility.eyes import sees
from workers.compatibility.fitting import FittedParents, fit_parents
from workers.compatibility.licences.verdict import ParentTerms, judge
from workers.compatibility.parent_concerns import (
    Comparison,
    Concern,
    comparisons_of,
    copies,
    settings_that_differ,
    unrelated,
)
from workers.compatibility.parent_facts import ParentFacts, facts_of
from workers.compatibility.template_origin import template_concerns, template_origin
from workers.errors import WorkerError

__all__ = ["Comparison", "Concern", "Needs", "Preflight", "as_json", "preflight_models", "preflight_recipe"]

_WORKING = 4  # bytes per number while a tensor is merged


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
        chat_template: Whose the merged model takes, in a few words; "" where nothing is merged.
        changes: What each model changed of the base, or of the first model.
    """

    parents: tuple[ParentFacts, ...]
    comparisons: tuple[Comparison, ...]
    needs: Needs | None
    refusals: tuple[Concern, ...]
    warnings: tuple[Concern, ...]
    chat_template: str = ""
    changes: tuple[WeightChanges, ...] = ()


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
            refusals += map(_finding, compatibility_problems(recipe, fitted))
        refusals += map(_finding, unprepared(recipe, layouts))
    merged = [layouts[parent] for parent in recipe.merged_parents if parent in layouts]
    comparisons = comparisons_of(layouts.get(first), merged)
    owner = layouts.get(recipe.tokenizer_owner)
    settings = settings_that_differ(list(layouts.values()), owner, several_kinds=fitted is not None)
    told = {(found.field, found.detail.split()[0]) for found in refusals}
    refusals += [each for each in settings.refusals if (each.field, each.detail.split()[0]) not in told]
    warnings = [*_warnings(facts, comparisons), *settings.warnings]
    warnings += _idle(recipe, [name for layout in merged for name in layout.tensors])
    warnings += _eyes(recipe, layouts)
    if recipe.method != "passthrough":
        warnings += unrelated(comparisons, based=method_named(recipe.method).needs_base)
    template = "" if fitted is None else _template(recipe, layouts, refusals, warnings)
    needs = None if refusals or fitted is None else _needs(recipe, fitted, facts)
    changes = tuple(_changes(layouts, recipe.base, recipe.merged_parents))
    return Preflight(tuple(facts), comparisons, needs, tuple(refusals), tuple(warnings), template, changes)


def preflight_models(parents: Sequence[Parent]) -> Preflight:
    """Looks at models that may be merged with each other; the first is what they are compared with."""
    layouts, facts, refusals = _inspected(parents)
    present = list(layouts.values())
    refusals += map(_finding, compare_layouts(present))
    comparisons = comparisons_of(present[0] if present else None, present)
    settings = settings_that_differ(present, present[0] if present else None)
    refusals += settings.refusals
    warnings = (*_warnings(facts, comparisons), *settings.warnings, *unrelated(comparisons))
    changes = tuple(_changes(layouts, next(iter(layouts), None), parents))
    return Preflight(tuple(facts), comparisons, None, tuple(refusals), warnings, changes=changes)


def _changes(
    layouts: Mapping[Parent, Layout], base: Parent | None, parents: Sequence[Parent]
) -> Iterator[WeightChanges]:
    """Yields what each model changed of the base, where one is named and the weights are on this machine."""
    for parent, kept in unchanged_in(layouts, base, merged=parents).items():
        if base is not None:
            yield weight_changes(layouts[parent], layouts[base], kept)


def _template(
    recipe: Recipe, layouts: Mapping[Parent, Layout], refusals: list[Concern], warnings: list[Concern]
) -> str:
    """Returns whose chat template the merged model takes; notes what is wrong with it."""
    try:
        warnings += template_concerns(recipe, layouts)
        return template_origin(recipe, layouts)
    except WorkerError as error:
        refusals.append(_finding(error))
        return ""


def _inspected(parents: Sequence[Parent]) -> tuple[dict[Parent, Layout], list[ParentFacts], list[Concern]]:
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
                Concern(str(parent), f"cannot be read ({error.strerror})", "check its permissions")
            )
    return layouts, facts, refusals


def _finding(error: WorkerError) -> Concern:
    return Concern(error.field, error.detail, error.remedy)


def _warnings(facts: Sequence[ParentFacts], comparisons: Sequence[Comparison]) -> Iterator[Concern]:
    for other in facts[1:]:
        yield from _differences(other, facts[0])
    yield from copies(comparisons)
    yield from _terms(facts)
    for each in facts:
        if not each.here and each.revision is None:
            yield Concern(each.parent, "names no revision", "pin one as org/name@commit, so that it stays")


def _terms(facts: Sequence[ParentFacts]) -> Iterator[Concern]:
    """Yields what the licences come to together; models that all lack one are somebody's own."""
    if not any(each.licence for each in facts):
        return
    terms = [ParentTerms(each.parent, (each.licence or "").lower() or None) for each in facts]
    for problem in judge(terms).problems:
        detail, remedy = problem.detail, "`evomerge licences` says what follows for the merged model"
        yield Concern("licences", detail, remedy)


def _differences(other: ParentFacts, first: ParentFacts) -> Iterator[Concern]:
    if other.context != first.context:
        detail = f"was made for texts of {other.context} tokens, {first.parent} for {first.context}"
        yield Concern(other.parent, detail, "the merged model takes the tokenizer owner's setting")
    if other.dtypes.keys() != first.dtypes.keys():
        detail = f"is stored as {'/'.join(other.dtypes)}, {first.parent} as {'/'.join(first.dtypes)}"
        yield Concern(other.parent, detail, "write dtype in the recipe if the result's matters")
    if other.licence != first.licence:
        licences = [each.licence or "not given" for each in (other, first)]
        detail = f"its licence is {licences[0]}, that of {first.parent} is {licences[1]}"
        yield Concern(other.parent, detail, "see which terms the merged model falls under")


def _eyes(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> Iterator[Concern]:
    """Yields whose vision tower the merged model gets, where some of several parents see."""
    owner = recipe.tokenizer_owner
    if len(layouts) < 2 or owner not in layouts:
        return
    if sees(layouts[owner]):
        detail = "its vision tower and projector become the merged model's, as they are"
        yield Concern(str(recipe.vision or owner), detail, "write vision: MODEL to take another one's")
    elif any(map(sees, layouts.values())):
        seeing = next(str(parent) for parent in layouts if sees(layouts[parent]))
        detail = "sees, and the merged model does not: its tokenizer's owner only reads"
        yield Concern(seeing, detail, f"write tokenizer_source: {seeing} for a model that sees")


def _idle(recipe: Recipe, names: Sequence[str]) -> Iterator[Concern]:
    """Yields filters that choose nothing and are no mistake."""
    for idle in idle_filters(recipe, names) if names else ():
        if not idle.is_mistake:
            yield Concern(idle.field, idle.detail, "it changes nothing, and can be taken out")


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
