"""What a merge would be refused for, found before it begins.  Torch-free.

The merge plan and the kernels refuse the same; here it is told with everything else, from headers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from search_spaces import Parent, Recipe
from search_spaces.catalogue.methods import method_named
from search_spaces.recipes.idle_filters import idle_filters
from search_spaces.recipes.settings import Parameters, Setting
from workers.checkpoints.inspection import compare_layouts
from workers.checkpoints.layout import STRUCTURE, Layout, text_config
from workers.checkpoints.number_formats import TORCH_NAMES
from workers.checkpoints.record_files import find_record
from workers.compatibility.fitting import FittedParents
from workers.errors import MergeError, MismatchError, WorkerError

_RANKED_BY = ("density", "gamma", "clamp")
_ALWAYS_RANKED_TOGETHER = ("compeft", "grafting")


def compatibility_problems(recipe: Recipe, fitted: FittedParents) -> Iterator[WorkerError]:
    """Yields what a plan for this recipe would be refused for."""
    layouts = fitted.layouts
    stacked = any(source.layers is not None for part in recipe.slices for source in part.sources)
    merged = [layouts[p] for p in dict.fromkeys((*recipe.merged_parents, recipe.tokenizer_owner))]
    yield from compare_layouts(merged, vocabularies=False, depths=not stacked)
    for i, part in enumerate(recipe.slices):
        lengths = set()
        for source in part.sources:
            start, end = source.layers or (0, layouts[source.parent].layers)
            lengths.add(end - start)
            if end > layouts[source.parent].layers:
                detail = f"layers [{start}, {end}) are asked for, it has {layouts[source.parent].layers}"
                yield MismatchError(str(source.parent), detail, "end where the model ends")
        if len(lengths) > 1:
            detail = f"its sources have {' and '.join(map(str, sorted(lengths)))} layers"
            yield MismatchError(f"slices.{i}", detail, "give all sources of a slice equally many layers")
    for layout in merged[1:]:
        yield from _other_heads(layout, merged[0])
        yield from _other_types(layout, merged[0])
    yield from _idle_filters(recipe, merged)
    yield from _several_thresholds(recipe, layouts)


def _other_heads(layout: Layout, first: Layout) -> Iterator[WorkerError]:
    """Finds numbers of heads that differ, which shapes do not show."""
    mine, theirs = text_config(layout), text_config(first)
    for key in STRUCTURE:
        if None not in (mine.get(key), theirs.get(key)) and mine[key] != theirs[key]:
            detail = f"{key} is {mine[key]}, in {first.parent} it is {theirs[key]}"
            yield MismatchError(str(layout.parent), detail, "merge models of one size and shape")
            return


def _other_types(layout: Layout, first: Layout) -> Iterator[WorkerError]:
    """Finds tensors that one model holds as numbers to average, the other quantized or whole."""
    for name in sorted(layout.tensors.keys() & first.tensors.keys()):
        mine, theirs = layout.tensors[name].dtype, first.tensors[name].dtype
        if (mine in TORCH_NAMES) != (theirs in TORCH_NAMES):
            detail = f"{name!r} holds {mine}, in {first.parent} it holds {theirs}"
            yield MismatchError(str(layout.parent), detail, "use checkpoints that were not quantized")
            return


def _idle_filters(recipe: Recipe, layouts: Sequence[Layout]) -> Iterator[WorkerError]:
    for idle in idle_filters(recipe, (name for layout in layouts for name in layout.tensors)):
        if idle.is_mistake:
            yield MismatchError(idle.field, idle.detail, "use a part of a tensor's name")


def _several_thresholds(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> Iterator[WorkerError]:
    """Finds numbers that differ between tensors whose entries are ranked together."""
    method = method_named(recipe.method)
    ranked = [name for name in (p.name for p in method.parameters) if name in _RANKED_BY]
    if not ranked or not _ranks_all_tensors(recipe):
        return
    for part in recipe.slices:
        for source in part.sources:
            levels = (source.parameters, part.parameters, recipe.parameters)
            for name in ranked:
                settings = next((level[name] for level in levels if name in level), ())
                values = _values(settings, list(layouts[source.parent].tensors))
                if len(values) > 1:
                    several = " and ".join(f"{value:g}" for value in values)
                    detail = (
                        f"entries of all tensors are ranked together, but it has {several} for some of them"
                    )
                    remedy = (
                        f"write {name} as one number, without filters or gradients, or granularity: tensor"
                    )
                    yield MergeError(f"{source.parent}: {name}", detail, remedy)


def _ranks_all_tensors(recipe: Recipe) -> bool:
    if recipe.method in _ALWAYS_RANKED_TOGETHER:
        return True
    choices = {p.name: p for p in method_named(recipe.method).parameters if p.kind == "choice"}
    for name, word in (("granularity", "global"), ("multi", "ties")):
        if name in choices:
            settings = recipe.parameters.get(name, ())
            if len(settings) > 1:  # by tensor: the merge itself finds out
                return False
            chosen = settings[0].value if settings else (choices[name].default or 0.0)
            return isinstance(chosen, float) and choices[name].choices[int(chosen)] == word
    return False


def _values(settings: Sequence[Setting], names: Sequence[str]) -> list[float]:
    """Returns the different numbers that settings have for tensors of these names, a gradient's all."""
    found: dict[float, None] = {}
    left = list(names)
    for setting in settings:
        part = setting.filter
        if any(part in (None, "*") or str(part) in name for name in left):
            found |= dict.fromkeys(setting.value if isinstance(setting.value, tuple) else (setting.value,))
        left = [name for name in left if part not in (None, "*") and str(part) not in name]
    return list(found)


def unprepared(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> Iterator[WorkerError]:
    """Yields records that a method needs and that were not made, and numbers that give no probabilities."""
    method = method_named(recipe.method)
    parents = [source.parent for part in recipe.slices for source in part.sources]
    base = [recipe.base] if recipe.base is not None and method.needs_base else []
    for kind in method.records:
        for parent in dict.fromkeys((*parents, *base)):
            if find_record(layouts[parent], kind) is None:
                remedy = f"run `evomerge calibrate {parent} --texts FILE --record {kind}`"
                yield MergeError(str(parent), f"has no {kind} record", remedy)
    if {"density", "epsilon"} <= {parameter.name for parameter in method.parameters}:
        yield from _no_probabilities(recipe)


def _no_probabilities(recipe: Recipe) -> Iterator[WorkerError]:
    """Finds densities that are said once for a whole parent, and leave 0 ... 1 with its epsilon."""
    for part in recipe.slices:
        for source in part.sources:
            levels = (source.parameters, part.parameters, recipe.parameters)
            density, epsilon = (_only_value(recipe, levels, name) for name in ("density", "epsilon"))
            if density is None or epsilon is None or not 0.0 < density < 1.0:
                continue
            if not epsilon < min(density, 1.0 - density):
                detail = f"epsilon {epsilon:g} around density {density:g} gives no probabilities"
                remedy = f"use an epsilon below {min(density, 1.0 - density):g}"
                yield MergeError(f"{source.parent}: epsilon", detail, remedy)


def _only_value(recipe: Recipe, levels: Sequence[Parameters], name: str) -> float | None:
    """Returns the one number that a parameter has for all tensors; None where there are several."""
    for level in levels:
        if name in level:
            first = level[name][0]
            return first.value if isinstance(first.value, float) and first.filter is None else None
    return method_named(recipe.method).parameter(name).default
