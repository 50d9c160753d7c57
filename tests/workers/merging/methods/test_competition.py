"""PCB-Merging, Consensus merging and TALL-masks against the authors' code, and at their limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces import Recipe, Slice, Source
from search_spaces.recipes.settings import Setting
from tests.workers.merging.extra_cases import WholeMerge, common_inputs, expected_of, parameters_of
from tests.workers.merging.golden_cases import furthest
from tests.workers.merging.small_parents import SmallParents
from workers.errors import MergeError
from workers.merging.plan import plan_merge
from workers.merging.stream import merged_tensors

PCB_CASES = {case["file"]: case for case in parameters_of("pcb_merging")["cases"]}
MASK_CASES = {case["file"]: case for case in parameters_of("tall_mask_consensus")["cases"]}
PARENTS = ("model_a", "model_b", "model_c")


def merge(method: str, **values: Any) -> dict[str, Tensor]:
    parents = [common_inputs(name) for name in PARENTS]
    return WholeMerge(method, parents, common_inputs("base"), **values).merged()


def check(merged: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert furthest(merged[name], tensor) <= tolerance, name


@pytest.mark.parametrize("name", sorted(PCB_CASES))
def test_pcb_gives_what_the_authors_code_gives(name: str) -> None:
    case = PCB_CASES[name]
    merged = merge(
        "pcb",
        weight=case.get("lams", case.get("lam")),
        density=case["pcb_ratio"],
        clamp=case["clamp"],
        variant=str(case["variant"]).split(" ")[0],
    )
    check(merged, expected_of("pcb_merging", name))


@pytest.mark.parametrize("name", sorted(MASK_CASES))
def test_consensus_and_tall_masks_give_what_the_authors_code_gives(name: str) -> None:
    case = MASK_CASES[name]
    values: dict[str, Any] = {
        "mask_lambda": case["mask_lambda"],
        "multi": "ta" if case["multi"] == "ta" else "ties",
    }
    if "task" in case:
        merged = merge("tall_mask", task=1 + "abc".index(case["task"]), **values)
    else:
        merged = merge("consensus", k=case["prun_thre_k"], **values, **{"lambda": case["alpha"]})
    check(merged, expected_of("tall_mask_consensus", name))


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def models(*shapes: tuple[int, ...], count: int = 3) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Returns a base and some parents, whose tensors are named by number."""
    made = [{str(i): draw(10 * m + i, *s) for i, s in enumerate(shapes)} for m in range(count + 1)]
    return made[0], made[1:]


@pytest.mark.parametrize("variant", ["es", "script"])
@pytest.mark.parametrize("density", [0.05, 0.5, 0.9, 1.0])
def test_pcb_ranks_all_tensors_as_if_they_were_one(variant: str, density: float) -> None:
    base, parents = models((4, 6), (7,), (0, 3), (2, 3, 2))
    values: dict[str, Any] = {"variant": variant, "density": density, "clamp": 0.05}
    apart = WholeMerge("pcb", parents, base, granularity="global", **values).merged()

    def joined(model: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"all": torch.cat([tensor.flatten() for tensor in model.values()])}

    whole = WholeMerge("pcb", [joined(p) for p in parents], joined(base), granularity="tensor", **values)
    assert furthest(joined(apart)["all"], whole.merged()["all"]) <= 1e-6


@pytest.mark.parametrize("granularity", ["global", "tensor"])
def test_pcb_keeps_a_parent_whose_entries_are_all_as_large(granularity: str) -> None:
    base, parent = {"w": torch.zeros(6)}, {"w": torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])}
    merged = WholeMerge("pcb", [parent], base, density=0.5, granularity=granularity).merged()
    assert torch.equal(merged["w"], parent["w"])


def test_pcb_lets_a_parent_that_changed_nothing_take_no_share() -> None:
    base, (parent, _, _) = models((5, 5))
    alone = WholeMerge("pcb", [parent], base, variant="script", density=0.3).merged()
    beside = WholeMerge("pcb", [parent, base], base, variant="script", density=0.3).merged()
    assert torch.equal(alone["0"] != base["0"], beside["0"] != base["0"])
    changed = alone["0"] != base["0"]
    torch.testing.assert_close(alone["0"][changed], beside["0"][changed])


@pytest.mark.parametrize("multi", ["ta", "ties"])
def test_consensus_goes_from_the_merged_task_vector_to_the_base(multi: str) -> None:
    base, parents = models((6, 5), (4,))
    all_kept = WholeMerge("consensus", parents, base, k=0, multi=multi, density=1.0).merged()
    none_kept = WholeMerge("consensus", parents, base, k=4, multi=multi, density=1.0).merged()
    assert all(torch.equal(none_kept[name], base[name]) for name in base)
    if multi == "ta":
        sums = {n: base[n] + sum((p[n] - base[n] for p in parents), torch.zeros(())) for n in base}
        assert all(furthest(all_kept[name], sums[name]) <= 1e-6 for name in base)
    else:
        assert all(not torch.equal(all_kept[name], base[name]) for name in base)


def test_a_mask_over_a_single_parent_gives_it_back() -> None:
    base, (parent, _, _) = models((6, 5))
    cases: list[tuple[str, dict[str, Any]]] = [("tall_mask", {"task": 1}), ("consensus", {"k": 1})]
    for method, values in cases:
        merged = WholeMerge(method, [parent], base, **values).merged()
        assert furthest(merged["0"], parent["0"]) <= 1e-6


@pytest.mark.parametrize("task", [0.0, 1.5, 4.0])
def test_a_tall_mask_of_no_parent_is_refused(task: float) -> None:
    base, parents = models((6, 5))
    with pytest.raises(MergeError, match=r"task: .* is the number of no parent; use 1 to 3"):
        WholeMerge("tall_mask", parents, base, task=task).merged()


def test_two_and_a_half_parents_cannot_agree() -> None:
    base, parents = models((6, 5))
    with pytest.raises(MergeError, match=r"k: 2.5 parents cannot agree"):
        WholeMerge("consensus", parents, base, k=2.5).merged()


METHODS_AND_CHOICES = [
    ("pcb", {"granularity": "global"}),
    ("pcb", {"granularity": "tensor", "variant": "script"}),
    ("consensus", {"multi": "ta", "k": 1}),
    ("consensus", {"multi": "ties", "k": 1}),
    ("tall_mask", {"multi": "ta"}),
    ("tall_mask", {"multi": "ties"}),
]


@pytest.fixture(params=METHODS_AND_CHOICES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())]))
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    found: tuple[str, dict[str, Any]] = request.param
    return found


def test_parents_that_are_the_base_give_the_base(case: tuple[str, dict[str, Any]]) -> None:
    method, values = case
    base, _ = models((6, 5), (1, 4), (3,))
    merged = WholeMerge(method, [base, base], base, **values).merged()
    assert all(torch.equal(merged[name], base[name]) for name in base)


def test_a_merge_survives_tensors_of_any_shape(case: tuple[str, dict[str, Any]]) -> None:
    method, values = case
    base, parents = models((1,), (7,), (1, 5), (5, 1), (2, 3, 4), (2, 2, 1, 3), (0,), (0, 4))
    for some in (parents, parents[:1], [parents[0], parents[0]]):
        for name, tensor in WholeMerge(method, some, base, **values).merged().items():
            assert tensor.shape == base[name].shape
            assert bool(torch.isfinite(tensor).all())


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_number_shows_in_its_tensor_and_in_no_other(
    case: tuple[str, dict[str, Any]], broken: float
) -> None:
    method, values = case
    base, parents = models((6, 5), (8, 4))
    parents[1]["0"][2, 3] = broken
    merged = WholeMerge(method, parents, base, **values).merged()
    assert not bool(torch.isfinite(merged["0"]).all())
    assert bool(torch.isfinite(merged["1"]).all())


def test_low_precision_parents_are_merged_in_float32(case: tuple[str, dict[str, Any]]) -> None:
    method, values = case
    low = [{n: t.bfloat16() for n, t in m.items()} for m in (models((6, 5))[0], *models((6, 5))[1])]
    high = [{n: t.double() for n, t in m.items()} for m in low]
    merged = WholeMerge(method, low[1:], low[0], **values).merged()["0"]
    exact = WholeMerge(method, high[1:], high[0], **values).merged()["0"]
    assert merged.dtype == torch.float32
    assert exact.dtype == torch.float64
    assert furthest(merged, exact) <= 1e-5


def test_tensors_that_are_ranked_together_take_one_density(parents: SmallParents) -> None:
    recipe = Recipe(
        method="pcb",
        base=parents.base,
        slices=(Slice(sources=(Source(parent=parents.left), Source(parent=parents.right))),),
        parameters={"density": (Setting(value=0.1, filter="mlp"), Setting(value=0.2))},
    )
    plan = plan_merge(recipe, parents.layouts(*recipe.all_parents))
    with pytest.raises(
        MergeError, match=r"density: tensors are ranked together, but it is 0\.2 for"
    ) as caught:
        dict(merged_tensors(plan, parents.read))
    assert "0.1 for model.layers.0.mlp.up_proj.weight" in caught.value.detail


def test_pcb_of_a_tensor_larger_than_a_piece_is_what_sorting_it_gives() -> None:
    base, parents = models((520, 600), count=2)
    merged = WholeMerge("pcb", parents, base, density=0.2, clamp=0.01, weight=[0.7, 1.2]).merged()["0"]
    deltas = torch.stack([(parent["0"] - base["0"]).flatten() for parent in parents]).double()
    entries = deltas.shape[1]

    def between(values: Tensor) -> Tensor:
        low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
        return (values - low) / (high - low)

    ordered = deltas.abs().sort(dim=1).values
    low, high = ordered[:, [int(entries * 0.01)]], ordered[:, [int(entries * 0.99 - 1)]]
    sizes = deltas.abs().maximum(low).minimum(high)
    signed = deltas.sign() * between(sizes)
    scores = torch.exp(2 * between(sizes) ** 2) * (signed[:, None] * signed[None]).tanh().sum(0)
    cut = scores.sort(dim=1).values[:, [int(entries * 0.8)]]
    shares = between(scores.maximum(cut))
    winners = torch.tensor([[0.7], [1.2]]) * deltas.sign() * sizes * shares
    expected = base["0"].flatten() + winners.sum(0) / shares.sum(0).clamp(min=1e-12)
    # Float32 rounds scores at the cut, where shares are next to nothing and may be all there is.
    wrong = (merged.flatten() - expected).abs() > 1e-4
    assert int(wrong.sum()) <= entries // 10_000
