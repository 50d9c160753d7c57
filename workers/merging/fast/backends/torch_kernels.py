"""The passes as torch's operations, entry by entry: on a GPU its compiler makes one kernel of each.

As in `numba_kernels.py` every number travels once; the formulas are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from evaluators.allocation_failures import is_out_of_memory
from workers.merging.arithmetic.precision import chunk_length
from workers.merging.fast.selection.selection_masks import Criterion
from workers.merging.thinning.counter_random import LAST_SHIFT, ROUNDS, STEP

_LOW, _TOP = 2**32 - 1, 2**31
_OFFSET = 1 << 15
_log = logging.getLogger(__name__)


def fused(function: Callable[..., None], device: torch.device) -> Callable[..., None]:
    """Returns the function as it should run on a device: on a GPU as one kernel."""
    return _on_gpu(function) if device.type == "cuda" else function


def length_at_once(device: torch.device, count: int) -> int:
    """Returns how many entries a function should treat at once: all where nothing is held in between."""
    return max(count, 1) if device.type == "cuda" else chunk_length(device)


@cache
def _on_gpu(function: Callable[..., None]) -> Callable[..., None]:
    one_kernel = torch.compile(function, dynamic=True, fullgraph=True)
    works = [True]

    def run(*arguments: Any) -> None:  # noqa: ANN401 - whatever the function takes
        if works[0]:
            try:
                one_kernel(*arguments)
            except Exception as error:  # of torch's compiler, Triton or the C compiler
                if is_out_of_memory(error):
                    raise
                works[0] = False
                cause = str(error).strip().splitlines()
                _log.warning(
                    "torch cannot compile %s for this GPU (%s): it runs operation by operation, several "
                    "times slower",
                    function.__name__,
                    cause[0] if cause else type(error).__name__,
                )
            else:
                return
        function(*arguments)

    return run


def add_up(
    out: Tensor,
    base: Tensor | None,
    of_base: Tensor,
    inputs: Sequence[Tensor],
    factors: Tensor,
    around: bool,
) -> None:
    """Sets out = of_base W_0 + sum_i c_i X_i, or with `around` of_base W_0 + sum_i c_i (X_i - W_0).

    Args:
        out: Flat [entries].
        base: W_0, flat [entries]; None is none.
        of_base: A number [], in the precision of the sum.
        inputs: The X_i, flat [entries].
        factors: The c_i [n], in the precision of the sum.
        around: As above.
    """
    total = torch.zeros_like(out, dtype=factors.dtype)
    origin = None if base is None else base.to(factors.dtype)
    for number, tensor in enumerate(inputs):
        own = tensor.to(factors.dtype)
        total = total + factors[number] * (own - origin if around and origin is not None else own)
    if origin is not None:
        total = total + of_base * origin
    out.copy_(total)


def add_thinned(
    out: Tensor,
    base: Tensor,
    parents: Sequence[Tensor],
    keys: Sequence[Tensor],
    rules: Tensor,
    numbers: Tensor,
    kind: str,
    electing: bool,
) -> None:
    """Sets out = W_0 + factor * what is made of the kept entries, added up or elected.

    Args:
        out: Flat [entries].
        base: W_0, flat [entries].
        parents: W_i, flat [entries], n of them.
        keys: Of BY_KEY: one per parent, int16 [entries]; else any.
        rules: Int64 [n + 1, 4].  Per parent what its `SelectionMask` says: of BY_MAGNITUDE the least
            magnitude and until where equals are kept, the greatest and until where equals are dropped;
            of AT_RANDOM the seed's words and the code; of BY_KEY the code.  Last the first entry's index.
        numbers: Float32 [n + 1, 3].  Per parent factor and weight; last the factor, the sign elected at
            zero, and the share of weights up to which nothing is divided.
        kind: A `Criterion`'s value.
        electing: Only what has the sign of the sum counts, divided by its weights.
    """
    origin = base.float()
    index = torch.arange(out.shape[0], device=out.device) + rules[-1, 0]
    added = []
    total = torch.zeros_like(origin)
    for i, parent in enumerate(parents):
        delta = parent.float() - origin
        kept = _is_kept(delta, index, keys[i], rules[i], kind)
        added.append(delta * kept * numbers[i, 0])
        total = total + added[i]
    if electing:
        total = _elected(total, added, numbers)
    out.copy_(total * numbers[-1, 0] + origin)


def _is_kept(delta: Tensor, index: Tensor, keys: Tensor, rule: Tensor, kind: str) -> Tensor:
    """Says of each entry whether it is kept."""
    if kind == Criterion.BY_KEY.value:
        return keys.to(torch.int64) + _OFFSET < rule[0]
    if kind == Criterion.AT_RANDOM.value:
        return (_words(index, rule[0], rule[1]) ^ _TOP) < (rule[2] << 16)
    sizes = delta.abs().view(torch.int32).to(torch.int64)
    enough = (sizes > rule[0]) | ((sizes == rule[0]) & (index < rule[1]))
    return enough & ((sizes < rule[2]) | ((sizes == rule[2]) & (index >= rule[3])))


def _words(index: Tensor, start: Tensor, extra: Tensor) -> Tensor:
    """Returns the words of `counter_random.random_words` as numbers from 0 to 2^32 - 1."""
    (shift_1, factor_1), (shift_2, factor_2) = ROUNDS
    word = (index * STEP + start) & _LOW
    word = ((word ^ (word >> shift_1)) * factor_1) & _LOW
    word = ((word ^ (word >> shift_2) ^ extra) * factor_2) & _LOW
    return word ^ (word >> LAST_SHIFT)


def _elected(total: Tensor, added: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """Returns the sum of the contributions whose sign is that of the total, divided by their weights."""
    sign = torch.where(total > 0, 1.0, numbers[-1, 1])
    sign = torch.where(total < 0, -1.0, sign)
    merged, share = torch.zeros_like(total), torch.zeros_like(total)
    for i, contribution in enumerate(added):
        along = contribution * sign
        merged = merged + torch.where(along < 0, 0.0, along)
        share = share + torch.where(along > 0, numbers[i, 1], 0.0)
    return merged / torch.where(share.abs() <= numbers[-1, 2], 1.0, share) * sign
