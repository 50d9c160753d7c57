"""Random numbers without a state: the i-th one is a function of (seed, i).

The seed is scrambled once to two words s and z (the finalizer of SplitMix64: Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16).  Then, modulo 2^32,

    h = i * 0x9E3779B9 + s            a Weyl sequence
    h = (h ^ h >> 16) * 0x21F0AAAD
    h = (h ^ h >> 15 ^ z) * 0x735A2D97
    h = h ^ h >> 15

the multiplications and shifts being those of a 32-bit hash with little bias (Wellons, "Hash function
prospector", `triple32`'s two-round relative).  So an entry costs two multiplications of 32 bits, which
every processor does sixteen at a time.  Indices beyond 2^32 go on with another seed.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 0x9E3779B9
ROUNDS = ((16, 0x21F0AAAD), (15, 0x735A2D97))
LAST_SHIFT = 15
_LOW = 2**32 - 1
_GAMMA = 0x9E3779B97F4A7C15
_SCRAMBLE = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def seed_words(seed: int, stretch: int = 0) -> tuple[int, int]:
    """Returns the words (s, z) of a 64-bit seed for the 2^32 indices from stretch * 2^32 on."""
    state = (seed + (stretch + 1) * _GAMMA) % 2**64
    for shift, factor in _SCRAMBLE:
        state = (state ^ state >> shift) * factor % 2**64
    state ^= state >> 31
    return state & _LOW, state >> 32


def random_words(seed: int, start: int, count: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Returns words start ... start + count - 1 of the seed's sequence, int32 [count], all 32 bits random."""
    pieces = []
    while count > 0:
        stretch, first = divmod(start, 2**32)
        length = min(count, 2**32 - first)
        pieces.append(_stretch(seed_words(seed, stretch), first, length, torch.device(device)))
        start, count = start + length, count - length
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.int32, device=device)


def _stretch(words: tuple[int, int], first: int, count: int, device: torch.device) -> Tensor:
    """The words of one stretch, int32 [count].

    In int64 and masked: a product of two 32-bit numbers may wrap there too, its low half is right.
    """
    state = torch.arange(first, first + count, dtype=torch.int64, device=device)
    state.mul_(STEP).add_(words[0]).bitwise_and_(_LOW)
    scratch = torch.empty_like(state)
    for extra, (shift, factor) in zip((0, words[1]), ROUNDS, strict=True):
        torch.bitwise_right_shift(state, shift, out=scratch)
        state.bitwise_xor_(scratch).bitwise_xor_(extra)
        state.mul_(factor).bitwise_and_(_LOW)
    torch.bitwise_right_shift(state, LAST_SHIFT, out=scratch)
    state.bitwise_xor_(scratch)
    return state.to(torch.int32)  # keeps the low 32 bits
