"""Tensors that a method prepares (`kernel.Preparation`): made once for all candidates that agree in them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from workers.merging.fast.caches import Caches
from workers.merging.fast.preparations.prepared_store import PreparedStore, content_of, key_of
from workers.merging.fast.threads import Map, at_most
from workers.merging.kernel import Ingredients
from workers.merging.methods import PREPARATIONS, SURVEYS
from workers.merging.plan import Input, TensorPlan
from workers.merging.row_blocks import decompositions_at_once

WORTH_STORING = 1 << 17
"""Entries of a tensor from which on reading what was prepared takes less time than preparing it."""


def prepared(plan: TensorPlan, ingredients: Ingredients, caches: Caches) -> tuple[Tensor, ...]:
    """Returns the tensors that a method prepares, float32; candidates that agree in them share them.

    Args:
        plan: Of the merged tensor, by a method of `PREPARATIONS`.
        ingredients: Its inputs.
        caches: Remembers them, and knows where they are stored.
    """
    kernel = plan.kernel or ""
    preparation = PREPARATIONS[kernel]
    depends_on = (*preparation.depends_on, *(SURVEYS[kernel].depends_on if kernel in SURVEYS else ()))
    values = values_of(plan, depends_on)

    def make() -> tuple[Tensor, ...]:
        return tuple(tensor.to(torch.float32).contiguous() for tensor in preparation.make(ingredients))

    def find() -> tuple[Tensor, ...]:
        store = caches.store
        base = ingredients.base
        if store is None or base is None or base.numel() < WORTH_STORING or base.device.type != "cpu":
            return make()
        return _stored(store, key_of(kernel, plan.name, values, _contents(plan, ingredients, caches)), make)

    key = ("prepared", kernel, plan.name, plan.inputs, plan.base, plan.dtype, values)
    return caches.remembered(key, find, lambda made: sum(tensor.nbytes for tensor in made))


def side_by_side(plans: Sequence[TensorPlan]) -> Map:
    """Returns how to go through these tensors with all threads, as far as memory allows decompositions."""
    return at_most(decompositions_at_once(plans))


def values_of(plan: TensorPlan, names: Sequence[str]) -> tuple[Hashable, ...]:
    """Returns the values of these parameters in a tensor's plan."""
    tables = (plan.per_parent, plan.shared, plan.choices)
    return tuple(table[name] for name in names for table in tables if name in table)


def _contents(plan: TensorPlan, ingredients: Ingredients, caches: Caches) -> list[str]:
    """Returns the digests of a tensor's inputs, the base's last."""
    inputs: list[tuple[Input | None, Tensor | None]] = [
        *zip(plan.inputs, ingredients.parents, strict=True),
        (plan.base, ingredients.base),
    ]
    return [
        caches.remembered(("content", item, plan.dtype), lambda tensor=tensor: content_of(tensor))  # type: ignore[misc]
        for item, tensor in inputs
        if tensor is not None
    ]


def _stored(store: PreparedStore, key: str, make) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    found = store.get(key)
    if found is None:
        found = make()
        store.put(key, found)
    return found
