"""Small tensors are summed by numpy while no loop is loaded: to the bit as the compiled passes do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.workers.merging.kernel_contract import Variant, draw, ingredients, plan_of, variants
from tests.workers.recipes import linear_recipe
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.fast.applicable import is_summed
from workers.merging.fast.backends.numba_backend import merge_with_numba
from workers.merging.fast.backends.numpy_backend import merge_with_numpy
from workers.merging.fast.threads import one_by_one
from workers.merging.methods import Ingredients
from workers.protocol.messages import ExportOrder

ALONE = """
import sys
from search_spaces import Recipe
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

recipe = Recipe.model_validate_json(sys.argv[1])
print(merge_to_disk(ExportOrder(recipe=recipe, folder=sys.argv[2])).digest)
print("numba" in sys.modules)
"""
WORDS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
SHAPES = ((7,), (60, 70))  # less than the lanes of an inner product; several times as many, and some
_FIRST = draw(0)
_VARIANTS = {
    str(variant): variant
    for variant in variants()
    if is_summed(plan_of(ingredients(variant, [_FIRST, _FIRST, _FIRST], _FIRST), variant))
}


def _both_ways(mixed: Ingredients, variant: Variant, out: torch.dtype) -> tuple[Tensor, Tensor, set[bool]]:
    """Returns what comes out plainly and by loops, and whether each found it finite."""
    shape, plan = mixed.parents[0].shape, plan_of(mixed, variant, str(out).removeprefix("torch."))
    plain, looped = torch.zeros(shape, dtype=out), torch.ones(shape, dtype=out)
    finite = merge_with_numpy(variant.name, mixed, plain)
    return plain, looped, {finite, bool(merge_with_numba(plan, mixed, looped, None, one_by_one))}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", sorted(_VARIANTS))
def test_every_weighted_sum_has_the_same_bits_either_way(name: str, shape: tuple[int, ...]) -> None:
    variant = _VARIANTS[name]
    for stored in WORDS:
        base = draw(0, stored, shape)
        parents = [(base + draw(seed, stored, shape) / 16).to(stored) for seed in (1, 2, 3)]
        mixed = ingredients(variant, parents, base, (0.3, -0.45, 0.7))
        for out in WORDS:
            plain, looped, finite = _both_ways(mixed, variant, out)

            assert finite == {True}
            assert torch.equal(plain.view(WORDS[out]), looped.view(WORDS[out]))


@pytest.mark.parametrize("extreme", [0.0, -0.0, 1e-40, 3.3e38, -3.39e38, torch.inf, torch.nan])
def test_extremes_are_no_exception(extreme: float) -> None:
    for name in ("linear", "task_arithmetic"):
        for out in WORDS:
            base = draw(0).fill_(extreme)
            parents = [draw(seed) * extreme for seed in (1, 2, 3)]
            mixed = ingredients(name, parents, base, (1.5, 0.25, 1.0), normalize=0.0)
            plain, looped, finite = _both_ways(mixed, Variant(name), out)

            assert len(finite) == 1
            if finite == {True}:
                assert torch.equal(plain.view(WORDS[out]), looped.view(WORDS[out]))


@pytest.mark.slow
def test_a_merge_to_disk_is_the_same_before_and_after_the_loops_are_loaded(
    tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = linear_recipe((tiny_parents["left"], tiny_parents["right"]), (0.25, 0.75))
    order = ExportOrder(recipe=recipe, folder=str(tmp_path / "looped"))
    said = subprocess.run(
        [sys.executable, "-c", ALONE, recipe.model_dump_json(), str(tmp_path / "plain")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split() == [merge_to_disk(order).digest, "False"]  # this process has loaded them
