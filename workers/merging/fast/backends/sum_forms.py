"""Sum forms: what one entry of a merged tensor is made of, as compiled loops are told.

A pass is a loop (`numba_kernels.py`) over a form; a form that adds up thinned task vectors holds a rule
(`selection/rules.py`).  A loop is compiled for the classes of both, and the inner loops over a tuple, whose
length the compiler knows, are written out, up to `applicable.MOST_INPUTS` inputs: the outer loop becomes
vector instructions.  There every contribution is written twice and computed once.

W_0, W_i stored [entries], in pairs or alone; all sums are float32, in the inputs' order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workers.merging.fast.compiled.compiling import chosen_by_type
from workers.merging.fast.compiled.entries import ZERO, divided, not_against, sign_of, where_positive
from workers.merging.fast.compiled.intrinsics import read
from workers.merging.fast.selection.rules import Rule, selected
from workers.merging.fast.storage import Array


class WeightedSum(NamedTuple):
    """sum_i c_i W_i, of `inputs` and float32 `weights` [n]."""

    inputs: tuple[Array, ...]
    weights: Array


class SumOnto(NamedTuple):
    """W_0 + sum_i c_i W_i."""

    base: Array
    inputs: tuple[Array, ...]
    weights: Array


class DifferenceSum(NamedTuple):
    """c_0 W_0 + sum_i c_i (W_i - W_0), where c_0 is `of_base`."""

    base: Array
    of_base: np.float32
    inputs: tuple[Array, ...]
    weights: Array


class ThinnedSum(NamedTuple):
    """W_0 + factor sum_i f_i kept_i(W_i - W_0), of float32 `factors` [n]."""

    base: Array
    inputs: tuple[Array, ...]
    rule: Rule
    factors: Array
    factor: np.float32


class ElectedSum(NamedTuple):
    """As ThinnedSum, of the contributions whose sign is that of their sum, `at_zero` where it is zero.

    Divided by the sum of the `weights` [n] that took part, where that is more than `smallest`.
    """

    base: Array
    inputs: tuple[Array, ...]
    rule: Rule
    factors: Array
    factor: np.float32
    weights: Array
    at_zero: np.float32
    smallest: np.float32


Form = WeightedSum | SumOnto | DifferenceSum | ThinnedSum | ElectedSum


def made(form: Form, piece: int, j: int, half: int, index: np.uint32) -> np.float32:
    """Returns an entry of the merged tensor; for compiled code alone.

    Args:
        form: Of the sum.
        piece: In which the entry lies.
        j: Where it is stored.
        half: Which of two, where two are stored together.
        index: Its number in the tensor.
    """
    raise NotImplementedError("for compiled code, which takes the function that chosen_by_type names")


def _weighted_sum(form, piece, j, half, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    total = ZERO
    for k in range(len(form.inputs)):
        total += form.weights[k] * read(form.inputs[k][j], half)
    return total


def _sum_onto(form, piece, j, half, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    total = ZERO
    for k in range(len(form.inputs)):
        total += form.weights[k] * read(form.inputs[k][j], half)
    return total + read(form.base[j], half)


def _difference_sum(form, piece, j, half, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001
    origin = read(form.base[j], half)
    total = ZERO
    for k in range(len(form.inputs)):
        total += form.weights[k] * (read(form.inputs[k][j], half) - origin)
    return total + form.of_base * origin


def _thinned_sum(form, piece, j, half, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    origin = read(form.base[j], half)
    total = ZERO
    for k in range(len(form.inputs)):
        delta = read(form.inputs[k][j], half) - origin
        total += selected(form.rule, piece, k, j, half, index, delta) * form.factors[k]
    return total * form.factor + origin


def _elected_sum(form, piece, j, half, index):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    origin = read(form.base[j], half)
    total, merged, share = ZERO, ZERO, ZERO
    for k in range(len(form.inputs)):
        delta = read(form.inputs[k][j], half) - origin
        total += selected(form.rule, piece, k, j, half, index, delta) * form.factors[k]
    sign = sign_of(total, form.at_zero)
    for k in range(len(form.inputs)):
        delta = read(form.inputs[k][j], half) - origin
        along = selected(form.rule, piece, k, j, half, index, delta) * form.factors[k] * sign
        merged += not_against(along)
        share += where_positive(along, form.weights[k])
    return divided(merged, share, form.smallest) * sign * form.factor + origin


chosen_by_type(
    made,
    {
        WeightedSum: _weighted_sum,
        SumOnto: _sum_onto,
        DifferenceSum: _difference_sum,
        ThinnedSum: _thinned_sum,
        ElectedSum: _elected_sum,
    },
)
