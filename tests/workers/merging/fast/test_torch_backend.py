"""The way that GPUs take, here on the CPU: it gives what the kernels give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.workers.merging.kernel_contract import Variant, draw, ingredients, plan_of, variants
from workers.merging.fast.backends.torch_backend import merge_with_torch
from workers.merging.fast.caches import Caches
from workers.merging.methods import KERNELS, Ingredients

SHAPE = (40, 65)
LARGE = (300, 450)  # from 2^17 entries on lengths are looked up in a table
KERNELS_WAY = {
    "arcee_fusion", "compeft", "consensus", "fisher", "gradient_matching", "nearswap", "passthrough", "pcb",
    "ram", "ramplus_tl", "regmean", "sce", "sparse_soup", "tall_mask",
}  # fmt: skip
"""The methods that have no other way on a GPU than their kernel's."""
_VARIANTS = {str(variant): variant for variant in variants() if variant.name not in KERNELS_WAY}
# Nor is there one row by row, except where singular vectors were found before, nor to the largest entry.
_BY_ROW = (
    "granularity=row",
    "granularity=column",
    "merge_function=max",
    "filter_wise=1.0",
    "nuslerp_flatten=0.0",
)


def _tensors(dtype: torch.dtype, shape: tuple[int, ...] = SHAPE) -> tuple[list[Tensor], Tensor]:
    """A base, and parents that differ from it by few magnitudes, so that many are equal."""
    base = draw(0, torch.float32, shape)
    steps = [draw(seed + 1, torch.float32, shape).mul(8).round().div(64) for seed in range(3)]
    return [(base + step).to(dtype) for step in steps], base.to(dtype)


def _merged(mixed: Ingredients, variant: Variant, caches: Caches) -> Tensor | None:
    out = torch.full(mixed.parents[0].shape, torch.nan)
    finite = merge_with_torch(plan_of(mixed, variant), mixed, out, caches)
    return None if finite is None else out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", sorted(_VARIANTS))
def test_a_gpus_way_gives_what_the_kernel_gives(name: str, dtype: torch.dtype) -> None:
    variant, caches = _VARIANTS[name], Caches(2**30)
    parents, base = _tensors(dtype)
    for density in (0.3, 0.7):  # the second finds what the first left in the caches
        values = {"density": density} if variant.has("density") else {}
        mixed = ingredients(variant, parents, base, (0.5, 0.4, -0.2), **values)

        found = _merged(mixed, variant, caches)

        assert (found is None) == (name.endswith(_BY_ROW) and variant.name != "r_tsvm")
        if found is not None:
            expected = KERNELS[variant.name](mixed).to(found.dtype)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["ties", "dare_ties", "della", "breadcrumbs"])
def test_large_tensors_are_no_exception(name: str) -> None:
    variant, caches = _VARIANTS[name], Caches(2**30)
    parents, base = _tensors(torch.bfloat16, LARGE)
    for density in (0.3, 0.7):
        mixed = ingredients(variant, parents, base, (0.5, 0.4, -0.2), density=density)

        found = _merged(mixed, variant, caches)

        torch.testing.assert_close(found, KERNELS[name](mixed), rtol=1e-5, atol=2e-6)


def test_what_is_broken_is_found() -> None:
    variant = _VARIANTS["ties"]
    parents, base = _tensors(torch.bfloat16)
    parents[1][3, 5] = torch.nan
    mixed = ingredients(variant, parents, base, (0.5, 0.4, 0.2), density=0.5)

    assert merge_with_torch(plan_of(mixed, variant), mixed, torch.zeros(SHAPE), Caches(2**30)) is False
