"""The sparse family against the reference implementations, and its surveys of whole models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.workers.merging.extra_cases import (
    WholeMerge,
    common_inputs,
    expected_of,
    parameters_of,
)
from tests.workers.merging.golden_cases import furthest
from workers.errors import MergeError
from workers.merging.arithmetic.moments import Moments
from workers.merging.kernel import Ingredients
from workers.merging.methods import KERNELS, SURVEYS
from workers.merging.methods.dare import dare_with
from workers.merging.thinning.order_statistics import largest_magnitudes, largest_of_several

Model = Mapping[str, Tensor]


def cases(method: str, *needed: str) -> list[Any]:
    return [
        pytest.param(case, id=case["file"])
        for case in parameters_of(method)["cases"]
        if all(name in case for name in needed)
    ]


@pytest.fixture(scope="module")
def base() -> Model:
    return common_inputs("base")


@pytest.fixture(scope="module")
def parents() -> list[Model]:
    return [common_inputs(f"model_{letter}") for letter in "abc"]


def agrees(merged: Model, expected: Model) -> None:
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert furthest(merged[name], tensor) <= 1e-6, name


@pytest.mark.parametrize("case", cases("ties_original_global"))
def test_ties_with_one_threshold_per_parent_gives_what_its_authors_code_gives(
    case: dict[str, Any], base: Model, parents: list[Model]
) -> None:
    merge = WholeMerge(
        "ties",
        parents,
        base,
        weight=1.0,
        density=case["K"] / 100,
        granularity="global",
        merge_function=case["func"].removeprefix("dis-"),
        **{"lambda": case["lam"]},
    )
    agrees(merge.merged(), expected_of("ties_original_global", case["file"]))


@pytest.mark.parametrize("case", cases("breadcrumbs_rowwise", "beta_keep"))
def test_breadcrumbs_by_row_gives_what_its_authors_code_gives(
    case: dict[str, Any], base: Model, parents: list[Model]
) -> None:
    merge = WholeMerge(
        "breadcrumbs",
        parents,
        base,
        weight=1.0,
        density=case["beta_keep"],
        gamma=case["gamma_remove"],
        granularity="row",
        order="remove_first" if case["remove_first"] else "keep_first",
        **{"lambda": case["alpha"]},
    )
    agrees(merge.merged(), expected_of("breadcrumbs_rowwise", case["file"]))


@pytest.mark.parametrize("case", cases("breadcrumbs_rowwise", "top_k"))
def test_breadcrumbs_that_only_drop_outliers_give_what_the_authors_top_k_gives(
    case: dict[str, Any], base: Model, parents: list[Model]
) -> None:
    merge = WholeMerge(
        "breadcrumbs",
        parents,
        base,
        weight=1.0,
        density=1.0,
        gamma=case["top_k"],
        granularity="row",
        **{"lambda": case["alpha"]},
    )
    agrees(merge.merged(), expected_of("breadcrumbs_rowwise", case["file"]))


@pytest.mark.parametrize(
    "case", [c for c in cases("dare_original") if c.values[0]["strategy"] == "magnitude"]
)
def test_dare_by_magnitude_gives_what_its_authors_code_gives(
    case: dict[str, Any], base: Model, parents: list[Model]
) -> None:
    merge = WholeMerge(
        "dare",
        parents,
        base,
        weight=1.0,
        density=1.0 - case["mask_rate"],
        rescale=float(case["rescale"]),
        drop="magnitude",
        **{"lambda": case["scaling"]},
    )
    agrees(merge.merged(), expected_of("dare_original", case["file"]))


def test_dare_with_given_masks_gives_what_its_authors_code_gives(base: Model, parents: list[Model]) -> None:
    case = next(c for c in parameters_of("dare_original")["cases"] if c["strategy"].startswith("random"))
    masks = [expected_of("dare_original", f"random_mask_{letter}") for letter in "abc"]
    for name, expected in expected_of("dare_original", case["file"]).items():

        def given(delta: Tensor, _: Ingredients, parent: int, name: str = name) -> Tensor:
            return delta.mul_(masks[parent][name])

        mixed = Ingredients(
            tuple(parent[name] for parent in parents),
            base[name],
            {"weight": (1.0,) * 3, "density": (1.0 - case["mask_rate"],) * 3},
            {"lambda": case["scaling"], "rescale": 1.0},
        )
        assert furthest(dare_with(mixed, given), expected) <= 1e-6, name


def test_dare_as_published_divides_by_the_density() -> None:
    parent = torch.ones(1000)
    merge = WholeMerge("dare", [{"w": parent}], {"w": torch.zeros(1000)}, weight=1.0, density=0.25)
    merged = merge.merged()["w"]
    assert set(merged.tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("case", cases("compeft", "model"))
def test_compeft_gives_what_its_authors_code_gives(case: dict[str, Any], base: Model) -> None:
    parent = common_inputs(f"model_{case['model']}")
    merge = WholeMerge(
        "compeft", [parent], base, weight=1.0, density=case["k"] / 100, alpha=case["replace_factor"]
    )
    agrees(merge.merged(), expected_of("compeft", case["file"]))


def test_compressed_task_vectors_are_added_up(base: Model, parents: list[Model]) -> None:
    numbers: dict[str, Any] = {"weight": 1.0, "density": 0.2, "alpha": 1.0, "lambda": 0.3}
    merge = WholeMerge("compeft", parents, base, **numbers)
    agrees(merge.merged(), expected_of("compeft", "merge_k20_alpha1.0_ta0.3"))


@pytest.mark.parametrize("density", [0.001, 0.05, 0.5])
def test_grafting_takes_over_the_largest_entries_of_the_whole_model(
    density: float, base: Model, parents: list[Model]
) -> None:
    merged = WholeMerge("grafting", parents[:1], base, weight=1.0, density=density).merged()
    deltas = torch.cat([(parents[0][name] - base[name]).flatten() for name in base])
    count = max(1, int(density * len(deltas)))
    least = float(deltas.abs().sort(descending=True).values[count - 1])
    for name, tensor in merged.items():
        delta = parents[0][name] - base[name]
        expected = torch.where(delta.abs() >= least, parents[0][name], base[name])
        torch.testing.assert_close(tensor, expected)
    changed = sum(int((merged[name] != base[name]).sum()) for name in base)
    assert changed == count


def test_breadcrumbs_with_one_band_per_parent_drop_both_tails_of_the_whole_model(
    base: Model, parents: list[Model]
) -> None:
    merged = WholeMerge(
        "breadcrumbs", parents[:1], base, weight=1.0, density=0.3, gamma=0.05, granularity="global"
    ).merged()
    deltas = torch.cat([(parents[0][name] - base[name]).flatten() for name in base])
    ranked = deltas.abs().sort(descending=True).values
    outliers, kept = int(0.05 * len(ranked)), int(0.3 * len(ranked))
    greatest, least = ranked[outliers], ranked[outliers + kept - 1]
    for name, tensor in merged.items():
        delta = parents[0][name] - base[name]
        inside = (delta.abs() >= least) & (delta.abs() <= greatest)
        torch.testing.assert_close(tensor, torch.where(inside, base[name] + delta, base[name]))


@pytest.mark.parametrize(("gamma", "density"), [(0.0, 0.5), (0.0001, 0.5), (0.6, 0.9), (0.0, 1.0)])
def test_breadcrumbs_keep_as_many_entries_as_the_density_says(gamma: float, density: float) -> None:
    parent = {"w": torch.arange(1.0, 65.0)}
    zero = {"w": torch.zeros(64)}
    merged = WholeMerge("breadcrumbs", [parent], zero, weight=1.0, density=density, gamma=gamma).merged()
    assert int((merged["w"] != 0).sum()) == int(density * 64)


@pytest.mark.parametrize("method", ["ties", "breadcrumbs"])
def test_trimming_by_row_ranks_every_row_for_itself(method: str) -> None:
    parent = {"w": torch.tensor([[4.0, 3.0, 2.0, 1.0], [40.0, -30.0, 20.0, 10.0]])}
    zero = {"w": torch.zeros(2, 4)}
    merged = WholeMerge(
        method, [parent], zero, weight=1.0, density=0.5, gamma=0.0, granularity="row"
    ).merged()
    assert merged["w"].tolist() == [[4.0, 3.0, 0.0, 0.0], [40.0, -30.0, 0.0, 0.0]]


def test_where_votes_cancel_the_models_majority_is_elected() -> None:
    left = {"tie": torch.tensor([1.0, 2.0]), "rest": torch.tensor([-1.0, -1.0])}
    right = {"tie": torch.tensor([-1.0, 1.0]), "rest": torch.tensor([-1.0, -3.0])}
    zero = {name: torch.zeros(2) for name in left}
    by_tensor = WholeMerge("ties", [left, right], zero, weight=1.0, density=1.0).merged()
    by_model = WholeMerge("ties", [left, right], zero, weight=1.0, density=1.0, granularity="global").merged()
    assert by_tensor["tie"].tolist() == [1.0, 1.5]
    assert by_model["tie"].tolist() == [-1.0, 1.5]


def test_all_entries_that_equal_a_global_threshold_are_kept() -> None:
    parent = {"a": torch.tensor([2.0, 1.0, -1.0]), "b": torch.tensor([1.0, 0.5])}
    zero = {name: torch.zeros_like(tensor) for name, tensor in parent.items()}
    merged = WholeMerge("grafting", [parent], zero, weight=1.0, density=0.4).merged()
    assert merged["a"].tolist() == [2.0, 1.0, -1.0]
    assert merged["b"].tolist() == [1.0, 0.0]


@dataclass(frozen=True)
class UnreadPortion:
    """A tensor whose weights must not be read."""

    name: str
    per_parent: Mapping[str, tuple[float, ...]]
    choices: Mapping[str, str]
    shape: tuple[int, ...] = (2,)
    shared: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> Ingredients:
        raise AssertionError("weights were read in vain")


def unread(name: str, density: float, order: str = "remove_first") -> UnreadPortion:
    numbers = {"weight": (1.0,), "density": (density,), "gamma": (0.0,)}
    return UnreadPortion(name, numbers, {"granularity": "global", "order": order})


@pytest.mark.parametrize("method", ["ties", "grafting", "compeft", "breadcrumbs"])
def test_a_global_threshold_takes_one_density(method: str) -> None:
    portions = [unread("a", 0.5), unread("b", 0.25)]
    with pytest.raises(MergeError, match=r"density: .*parent 0 has 0\.25 for b and 0\.5 for a"):
        SURVEYS[method].look(portions)


def test_a_global_band_takes_one_order() -> None:
    with pytest.raises(MergeError, match="a has remove_first and b has keep_first"):
        SURVEYS["breadcrumbs"].look([unread("a", 0.5), unread("b", 0.5, "keep_first")])


@pytest.mark.parametrize("method", ["della", "della_linear"])
@pytest.mark.parametrize(("density", "epsilon"), [(0.9, 0.15), (0.1, 0.15), (0.5, 0.5), (0.85, 0.15)])
def test_an_epsilon_that_gives_no_probabilities_is_refused(
    method: str, density: float, epsilon: float
) -> None:
    parent = {"w": torch.ones(4)}
    merge = WholeMerge(method, [parent], {"w": torch.zeros(4)}, weight=1.0, density=density, epsilon=epsilon)
    with pytest.raises(MergeError, match=f"epsilon {epsilon:g} around density {density:g}") as caught:
        merge.merged()
    assert "use an epsilon below" in caught.value.remedy


def test_larger_entries_of_a_row_are_kept_more_often() -> None:
    rows, width = 4000, 5
    parent = {"w": torch.tensor([0.5, -4.0, 1.0, 3.0, 2.0]).repeat(rows, 1)}
    zero = {"w": torch.zeros(rows, width)}
    merged = WholeMerge(
        "della_linear", [parent], zero, weight=1.0, density=0.5, epsilon=0.2, rescale=0.0
    ).merged()
    kept = (merged["w"] != 0).double().mean(dim=0)
    for share, expected in zip(kept.tolist(), (0.3, 0.7, 0.4, 0.6, 0.5), strict=True):
        assert abs(share - expected) <= 5 * math.sqrt(0.25 / rows)


def test_a_row_of_one_entry_is_kept_with_the_density() -> None:
    parent = {"w": torch.ones(20_000, 1)}
    zero = {"w": torch.zeros(20_000, 1)}
    merged = WholeMerge("della_linear", [parent], zero, weight=1.0, density=0.3, rescale=0.0).merged()
    assert abs(float(merged["w"].mean()) - 0.3) <= 5 * math.sqrt(0.21 / 20_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ties", [False, True])
def test_order_statistics_are_exact(dtype: torch.dtype, ties: bool) -> None:
    numbers = torch.randn(5000, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    numbers *= torch.logspace(-44, 30, 5000, dtype=torch.float64).to(dtype)
    if ties:
        numbers = numbers.sign() * numbers.abs().log2().round().exp2()
        numbers[::3] = 0.0
    ranked = numbers.abs().sort(descending=True).values
    ranks = [0, 1, 17, 2500, 4998, 4999]
    found = largest_magnitudes(lambda: numbers.view(5, 1000), ranks)
    assert list(found) == [float(ranked[rank]) for rank in ranks]


def test_several_vectors_are_ranked_together_and_apart() -> None:
    vectors = [torch.tensor([3.0, -1.0, 2.0]), torch.tensor([-7.0, 5.0])]

    def chunks() -> Iterator[tuple[int, Tensor]]:
        for vector, numbers in enumerate(vectors):
            for number in numbers:
                yield vector, number

    assert largest_of_several(chunks, [(0, 2), (1,)]) == [(3.0, 1.0), (5.0,)]


def test_nan_ranks_first() -> None:
    numbers = torch.tensor([1.0, math.nan, math.inf])
    first, second, third = largest_magnitudes(lambda: [numbers], (0, 1, 2))
    assert math.isnan(first)
    assert (second, third) == (math.inf, 1.0)


def test_the_deviation_of_a_vector_does_not_depend_on_how_it_is_cut() -> None:
    numbers = torch.randn(10_000, generator=torch.Generator().manual_seed(2)) * 1e-4 + 3.0
    whole, cut = Moments(), Moments()
    whole.add(numbers)
    for start in range(0, 10_000, 333):
        cut.add(numbers[start : start + 333])
    expected = float(numbers.double().std())
    assert whole.deviation() == pytest.approx(expected, rel=1e-12)
    assert cut.deviation() == pytest.approx(expected, rel=1e-9)


def test_the_deviation_of_less_than_two_entries_is_zero() -> None:
    single = Moments()
    assert single.deviation() == 0.0
    single.add(torch.ones(1))
    assert single.deviation() == 0.0


def test_a_kernel_that_ranks_globally_needs_its_survey() -> None:
    mixed = Ingredients(
        (torch.ones(3),), torch.zeros(3), {"weight": (1.0,), "density": (0.5,)}, {"lambda": 1.0}
    )
    with pytest.raises(ValueError, match="need a survey"):
        KERNELS["grafting"](mixed)
