"""What methods that rank entries share: task vectors in pieces, over a tensor or the whole model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.arithmetic.precision import chunk_length
from workers.merging.arithmetic.task_vectors import base_tensor
from workers.merging.kernel import Ingredients, Portion

Found = TypeVar("Found")

EntryRule = Callable[[Tensor], Tensor]
"""Task vectors [P, n] -> the merged task vector [n], a tensor of its own; may overwrite what it is given."""


def surveyed(ingredients: Ingredients, kind: type[Found]) -> Found:
    """Returns what the method's survey found, which is of this kind."""
    if not isinstance(ingredients.findings, kind):
        raise TypeError(f"{ingredients.name!r} needs the findings of a survey, as the stream makes one")
    return ingredients.findings


def check_same_everywhere(portions: Sequence[Portion], names: Sequence[str]) -> None:
    """Refuses shared parameters that differ between tensors which are ranked together.

    Raises:
        MergeError: One does; names both tensors and both values.
    """
    first = portions[0]
    for portion in portions[1:]:
        for name in names:
            here, there = _value(first, name), _value(portion, name)
            if here != there:
                raise MergeError(
                    name,
                    f"tensors are ranked together, but it is {here} for {first.name} and {there} for"
                    f" {portion.name}",
                    f"write {name} once, without filters or gradients, or granularity: tensor",
                )


def _value(portion: Portion, name: str) -> float | str:
    return portion.choices[name] if name in portion.choices else portion.shared[name]


def entrywise(ingredients: Ingredients, merge: EntryRule) -> Tensor:
    """Returns W_0 + lambda tau [...], tau made by a rule that looks at one entry of all parents at a time.

    Memory for what the rule computes does not grow with the tensor.
    """
    base = base_tensor(ingredients)
    if not ingredients.parents:
        return base
    factor, flat = ingredients.shared["lambda"], base.reshape(-1)
    merged = torch.empty_like(flat)
    for place, deltas in _chunks(ingredients):
        merged[place] = merge(deltas).mul_(factor).add_(flat[place])
    return merged.view_as(base)


def sound_chunks(ingredients: Ingredients) -> Iterator[Tensor]:
    """Yields the task vectors in pieces [P, n], every broken number as zero.

    They show in their own tensor, and do not spoil what is found for others.
    """
    for _, deltas in _chunks(ingredients):
        yield deltas.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)


def chunks_of_all(portions: Sequence[Portion]) -> Iterator[Tensor]:
    """Yields `sound_chunks` of one tensor after the other."""
    for portion in portions:
        if math.prod(portion.shape):
            yield from sound_chunks(portion.load())


def summed(vectors: Iterable[Tensor]) -> Tensor:
    """Returns the sum [n] of vectors [n], at least one, added in their order."""
    first, *others = vectors
    total = first.clone()
    for other in others:
        total += other
    return total


def _chunks(ingredients: Ingredients) -> Iterator[tuple[slice, Tensor]]:
    base = base_tensor(ingredients).reshape(-1)
    parents = [parent.reshape(-1) for parent in ingredients.parents]
    length = chunk_length(base.device)
    for start in range(0, base.numel() if parents else 0, length):
        place = slice(start, start + length)
        own = base[place]
        yield place, torch.stack([parent[place].to(own.dtype) - own for parent in parents])
