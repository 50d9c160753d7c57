"""Every kernel against tensors that mergekit made."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from search_spaces.methods import METHODS
from tests.workers.merging.golden_cases import GoldenCase, furthest, golden_cases
from workers.merging.plan import TensorPlan
from workers.merging.sparsify import keep_at_random

CASES = {case.name: case for case in golden_cases(seeded=False)}
RANDOM_CASES = {case.name: case for case in golden_cases(seeded=True)}
# mergekit ranks, sums and votes in bfloat16 here, we in float32: see the test of its own below.
EXACT = sorted(name for name in CASES if name != "ties/bf16")


@pytest.fixture(params=EXACT)
def case(request: pytest.FixtureRequest) -> GoldenCase:
    return CASES[request.param]


@pytest.fixture(params=sorted(RANDOM_CASES))
def random_case(request: pytest.FixtureRequest) -> GoldenCase:
    return RANDOM_CASES[request.param]


def tolerance(case: GoldenCase) -> float:
    """float32: 1e-6.  bfloat16: exact.  float16 with a float32 result: half a unit in the last place,
    because mergekit rounds to float16 on the way and we do not."""
    if case.recipe.dtype == "float16":
        return 2.0**-11
    return 0.0 if case.recipe.dtype == "bfloat16" else 1e-6


def test_a_kernel_gives_what_mergekit_gives(case: GoldenCase) -> None:
    merged, expected = case.merged(), case.expected
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert merged[name].dtype == tensor.dtype
        assert furthest(merged[name], tensor) <= tolerance(case), name


def test_ties_in_bfloat16_differs_from_mergekit_only_by_rounding_and_by_equal_magnitudes() -> None:
    case = CASES["ties/bf16"]
    merged, expected = case.merged(), case.expected
    alike = total = 0
    for name, tensor in expected.items():
        largest = tensor.abs().float()
        for parent in case.recipe.all_parents:
            largest = largest.maximum(case.read(parent, name).abs())
        alike += int(((merged[name].float() - tensor.float()).abs() <= largest * 2.0**-7).sum())
        total += tensor.numel()
    assert alike / total > 0.96


def test_every_method_has_a_golden_case() -> None:
    assert {plan.kernel for case in CASES.values() for plan in case.plan().tensors} >= METHODS.keys() - {
        "dare_linear"
    }
    assert "dare_linear/seeded_norescale" in RANDOM_CASES


def weighted_deltas(case: GoldenCase, plan: TensorPlan) -> tuple[Tensor, list[Tensor]]:
    """Returns the base and what each parent adds where it is kept, stretched to its delta's L1 norm."""
    assert plan.base is not None
    base = case.read(plan.base.parent, plan.base.tensor)
    deltas = []
    for i, item in enumerate(plan.inputs):
        delta = case.read(item.parent, item.tensor) - base
        kept = keep_at_random(delta.clone(), plan.per_parent["density"][i], plan.seeds[i])
        stretch = float(delta.abs().sum() / kept.abs().sum()) if plan.shared["rescale"] else 1.0
        deltas.append(delta * plan.per_parent["weight"][i] * stretch)
    return base, deltas


def test_random_merges_add_some_subset_of_the_task_vectors_to_every_entry(random_case: GoldenCase) -> None:
    merged = random_case.merged()
    for plan in random_case.plan().tensors:
        base, deltas = weighted_deltas(random_case, plan)
        gained = merged[plan.name] - base
        nearest = torch.full_like(gained, math.inf)
        for chosen in itertools.product((0.0, 1.0), repeat=len(deltas)):
            subset = sum(
                (share * delta for share, delta in zip(chosen, deltas, strict=True)), torch.zeros(())
            )
            nearest = nearest.minimum((gained - subset).abs())
        assert float(nearest.max()) <= 1e-6, plan.name


def test_the_share_of_kept_entries_is_the_density() -> None:
    case = RANDOM_CASES["dare_linear/seeded_norescale"]
    kept = total = 0
    merged = case.merged()
    for plan in case.plan().tensors:
        base, deltas = weighted_deltas(case, plan)
        stacked = torch.stack(deltas).flatten(1)
        choices = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(deltas))))
        subsets = choices @ stacked  # [8, entries]
        best = (subsets - (merged[plan.name] - base).flatten()).abs().argmin(dim=0)
        moved = stacked.T != 0.0  # [entries, 3]; whether a zero was kept cannot be seen
        kept += int(choices[best][moved].sum())
        total += int(moved.sum())
    assert abs(kept - 0.5 * total) <= 5 * math.sqrt(0.25 * total)
