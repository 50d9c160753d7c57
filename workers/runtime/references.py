"""References: the parents that candidates are compared with answer the benchmarks, once per split."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evaluators import EvaluationError
from evaluators.evaluator import Comparer
from search_spaces import Parent, Recipe, Slice, Source
from workers.protocol.messages import Assignment
from workers.runtime.in_place_merger import InPlaceMerger


def show_references(
    evaluator: Comparer, assignment: Assignment, parents: Sequence[Parent], merger: InPlaceMerger
) -> None:
    """Gives an evaluator the answers of the parents that it compares with, where it lacks them.

    Raises:
        EvaluationError: A reference names no parent, or several.
        WorkerError: A parent cannot be merged with itself alone.
    """
    for name in evaluator.references(assignment.split):
        alone = Slice(sources=(Source(parent=_parent_called(name, parents)),))
        recipe = Recipe(method="passthrough", slices=(alone,), dtype=assignment.recipe.dtype)
        model, tokenizer = merger.merge(recipe)
        with torch.inference_mode():
            evaluator.refer(name, assignment.split, model, tokenizer)


def _parent_called(name: str, parents: Sequence[Parent]) -> Parent:
    found = [parent for parent in parents if parent.is_called(name)]
    if len(found) != 1:
        known = ", ".join(map(str, parents))
        raise EvaluationError("parent", f"{name} names {len(found)} of the parents", f"use one of: {known}")
    return found[0]
