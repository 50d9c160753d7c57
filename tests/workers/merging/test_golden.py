"""Every kernel against tensors that mergekit made."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from search_spaces.catalogue.methods import METHODS
from tests.workers.merging.golden_cases import GoldenCase, furthest, golden_cases
from workers.merging.kernel import Ingredients
from workers.merging.plan import TensorPlan
from workers.merging.thinning.random_dropping import drop_at_random
from workers.merging.thinning.rank_dropping import drop_by_rank

CASES = {case.name: case for case in golden_cases(seeded=False)}
RANDOM_CASES = {case.name: case for case in golden_cases(seeded=True)}
# mergekit ranks and weighs in bfloat16 in these, we in float32: see their own tests below.
EXACT = sorted(name for name in CASES if name not in ("ties/bf16", "arcee_fusion/bf16"))
DROPPING = {"dare_linear": drop_at_random, "dare_ties": drop_at_random, "della_linear": drop_by_rank}
MERGEKIT = {
    *("linear", "slerp", "nuslerp", "multislerp", "karcher", "model_stock", "passthrough"),
    *("task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "della_linear"),
    *("breadcrumbs", "breadcrumbs_ties", "sce", "ram", "ramplus_tl", "nearswap", "arcee_fusion"),
}


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


def test_arcee_fusion_in_bfloat16_is_mergekits_but_for_the_precision_of_the_importance() -> None:
    """mergekit softmaxes, sums and ranks in bfloat16, in which the divergence of two near rows is mostly
    rounding; and it writes float32 into a checkpoint that says bfloat16."""
    case = CASES["arcee_fusion/bf16"]
    merged, expected = case.merged(), case.expected
    differing = total = 0
    for plan in case.plan().tensors:
        assert plan.base is not None
        base = case.read(plan.base.parent, plan.base.tensor).bfloat16()
        other = case.read(plan.inputs[0].parent, plan.inputs[0].tensor).bfloat16()
        assert merged[plan.name].dtype == torch.bfloat16
        assert bool(((merged[plan.name] == base) | (merged[plan.name] == other)).all())
        coarse = arcee_fusion_in_its_own_precision(base, other)
        assert torch.equal(coarse, expected[plan.name])
        differing += int((merged[plan.name] != coarse.bfloat16()).sum())
        total += base.numel()
    assert differing / total < 0.2


def arcee_fusion_in_its_own_precision(base: Tensor, other: Tensor) -> Tensor:
    """The same formula, every step rounded to the inputs' format; only the mask is float32."""
    p, q = torch.softmax(other, dim=-1) + 1e-8, torch.softmax(base, dim=-1) + 1e-8
    importance = (other - base).abs() * (p * (p / q).log()).sum(dim=-1, keepdim=True)
    ordered = importance.flatten().sort().values
    first, median, third = (ordered[(len(ordered) - 1) * quarter // 4] for quarter in (1, 2, 3))
    return base + (other - base) * (importance >= median + 1.5 * (third - first)).float()


def test_every_method_of_mergekit_has_a_golden_case() -> None:
    own = [*golden_cases(seeded=False), *golden_cases(seeded=True)]
    assert {case.recipe.method for case in own} == MERGEKIT
    assert METHODS.keys() >= MERGEKIT


def weighted_deltas(case: GoldenCase, plan: TensorPlan) -> tuple[Tensor, list[Tensor]]:
    """Returns the base and what each parent adds where it is kept, stretched to its delta's L1 norm."""
    assert plan.base is not None
    base = case.read(plan.base.parent, plan.base.tensor)
    originals = tuple(case.read(item.parent, item.tensor) for item in plan.inputs)
    ingredients = Ingredients(originals, base, plan.per_parent, plan.shared, plan.seeds)
    deltas = []
    for i, original in enumerate(originals):
        delta = original - base
        kept = DROPPING[str(plan.kernel)](delta.clone(), ingredients, i)
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
