"""Random numbers without a state: the i-th one is a function of (seed, i).

SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
figure 16.  Only whole-number operations, which wrap and shift alike on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None))


def _signed(number: int) -> int:
    """The 64 low bits of a number, as torch's int64 writes them."""
    return (number + 2**63) % 2**64 - 2**63


def random_words(seed: int, start: int, count: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Returns words start ... start + count - 1 of the seed's sequence, int32 [count], all 32 bits random.

    Two words come from one 64-bit number, the low half first.
    """
    first, last = start // 2, (start + count + 1) // 2
    state = torch.arange(first + 1, last + 1, dtype=torch.int64, device=device)
    state.mul_(_signed(_GAMMA)).add_(_signed(seed))
    scratch = torch.empty_like(state)
    for shift, factor in _ROUNDS:
        torch.bitwise_right_shift(state, shift, out=scratch)
        scratch.bitwise_and_((1 << (64 - shift)) - 1)  # int64 shifts copies of the sign in
        state.bitwise_xor_(scratch)
        if factor is not None:
            state.mul_(_signed(factor))
    offset = start - 2 * first
    return state.view(torch.int32)[offset : offset + count]
