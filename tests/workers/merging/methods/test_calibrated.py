"""The methods that weigh by what a calibration pass recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.workers.merging.extra_cases import WholeMerge, common_inputs, expected_of, inputs_of, parameters_of
from tests.workers.merging.kernel_contract import draw, ingredients, merged, surveyed
from workers.errors import MergeError
from workers.merging.methods import KERNELS

MODELS = ("model_a", "model_b", "model_c")
RECORDED = ("fisher", "gradient_matching")


def _close(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, atol=tolerance, rtol=0.0)


def _cases(method: str) -> Sequence[str]:
    return [case["case"] for case in parameters_of(method)["cases"]]


def _case(method: str, name: str) -> tuple[dict[str, object], float]:
    content = parameters_of(method)
    return next(case for case in content["cases"] if case["case"] == name), content["atol"]


def _floats(value: object) -> tuple[float, ...]:
    assert isinstance(value, list)
    return tuple(float(number) for number in value)


@pytest.mark.parametrize("name", _cases("fisher_averaging"))
def test_a_fisher_average_is_that_of_the_published_code(name: str) -> None:
    case, tolerance = _case("fisher_averaging", name)
    floor = (
        "add"
        if "favor_target_model" not in case
        else ("raise_all", "raise_first")[bool(case["favor_target_model"])]
    )
    actual = WholeMerge(
        "fisher",
        [common_inputs(model) for model in MODELS],
        None,
        records={"fisher": [inputs_of("fisher_averaging", f"fisher_{letter}") for letter in "abc"]},
        weight=_floats(case["coefficients"]),
        normalize=float(bool(case["normalize"])),
        floor=floor,
    ).merged()
    _close(actual, expected_of("fisher_averaging", name), tolerance)


@pytest.mark.parametrize("name", _cases("uncertainty_gradient_matching"))
def test_gradient_matching_is_that_of_the_published_code(name: str) -> None:
    method = "uncertainty_gradient_matching"
    case, tolerance = _case(method, name)
    actual = WholeMerge(
        "gradient_matching",
        [common_inputs(model) for model in MODELS],
        common_inputs("base"),
        records={"fisher": [inputs_of(method, f"hessian_{letter}") for letter in "abc"]},
        base_records={"fisher": inputs_of(method, "hessian_pretrained")},
        weight=_floats(case["scaling_factors_ft"]),
        prior=float(str(case["scaling_factor_pt"])),
        delta=float(str(case["delta_0"])),
        **{"lambda": float(str(case["scaling_factor"]))},
    ).merged()
    _close(actual, expected_of(method, name), tolerance)


@pytest.mark.parametrize("name", _cases("regmean_bonus"))
def test_regmean_is_that_of_the_published_code(name: str) -> None:
    case, tolerance = _case("regmean_bonus", name)
    grams = [
        {f"{layer}.weight": gram for layer, gram in inputs_of("regmean_bonus", f"gram_{letter}").items()}
        for letter in "abc"
    ]
    actual = WholeMerge(
        "regmean",
        [common_inputs(model) for model in MODELS],
        None,
        records={"gram": grams},
        off_diagonal=float(str(case["reduce_non_diagonal_ratio"])),
    ).merged()
    _close(actual, expected_of("regmean_bonus", name), tolerance)


@pytest.mark.parametrize("floor", ["add", "raise_all", "raise_first"])
@pytest.mark.parametrize("normalize", [0.0, 1.0])
def test_where_nothing_matters_to_anybody_fisher_gives_numbers(floor: str, normalize: float) -> None:
    parents = [draw(1), draw(2)]
    mixed = ingredients("fisher", parents, draw(0), floor=floor, normalize=normalize, fisher_floor=0.0)
    mixed = replace(mixed, records={"fisher": (torch.zeros(6, 5), torch.zeros(6, 5))}, findings=None)
    result = KERNELS["fisher"](surveyed("fisher", mixed))
    torch.testing.assert_close(result, (parents[0] + parents[1]) / 2)


def test_only_the_first_parent_decides_where_nothing_matters_to_the_others() -> None:
    parents = [draw(1), draw(2)]
    mixed = ingredients("fisher", parents, draw(0), floor="raise_first", normalize=0.0)
    mixed = replace(mixed, records={"fisher": (torch.zeros(6, 5), torch.zeros(6, 5))})
    torch.testing.assert_close(KERNELS["fisher"](mixed), parents[0])


def test_fisher_without_the_survey_of_the_model_is_refused() -> None:
    mixed = replace(ingredients("fisher", [draw(1), draw(2)], draw(0)), findings=None)
    with pytest.raises(MergeError, match="norms"):
        KERNELS["fisher"](mixed)


def test_a_fisher_record_scaled_by_a_number_changes_nothing_when_normalized() -> None:
    mixed = ingredients("fisher", [draw(1), draw(2)], draw(0), floor="raise_all", fisher_floor=0.0)
    first, second = mixed.records["fisher"]
    assert first is not None
    assert second is not None
    stretched = surveyed("fisher", replace(mixed, records={"fisher": (first * 1000, second)}))
    torch.testing.assert_close(KERNELS["fisher"](stretched), KERNELS["fisher"](mixed))


def test_gradient_matching_gives_the_base_where_no_parent_is_certain_of_anything() -> None:
    mixed = ingredients("gradient_matching", [draw(1), draw(2)], draw(0), delta=0.0)
    nothing = torch.zeros(6, 5)
    mixed = replace(mixed, records={"fisher": (nothing, nothing)}, base_records={"fisher": nothing})
    assert torch.equal(KERNELS["gradient_matching"](mixed), draw(0))


def test_gradient_matching_of_equally_certain_parents_is_task_arithmetic() -> None:
    base, parents = draw(0), [draw(1), draw(2)]
    mixed = ingredients("gradient_matching", parents, base, weights=[1.0, 1.0], prior=0.0, delta=0.0)
    mixed = replace(mixed, records={"fisher": (torch.full((6, 5), 3.0),) * 2})
    torch.testing.assert_close(KERNELS["gradient_matching"](mixed), (parents[0] + parents[1]) / 2)


def test_gradient_matching_without_a_prior_needs_no_record_of_the_base() -> None:
    mixed = ingredients("gradient_matching", [draw(1), draw(2)], draw(0), prior=0.0)
    result = KERNELS["gradient_matching"](replace(mixed, base_records={}))
    assert bool(torch.isfinite(result).all())
    with pytest.raises(MergeError, match="the base: has no fisher record"):
        KERNELS["gradient_matching"](replace(mixed, base_records={}, shared={**mixed.shared, "prior": 1.0}))


@pytest.mark.parametrize("method", RECORDED)
def test_a_parent_without_a_record_is_named_with_the_command_that_makes_one(method: str) -> None:
    mixed = ingredients(method, [draw(1), draw(2)], draw(0))
    first, _ = mixed.records["fisher"]
    with pytest.raises(MergeError, match="parent 2: has no fisher record; run `evomerge calibrate") as caught:
        KERNELS[method](replace(mixed, records={"fisher": (first, None)}))
    assert "--record fisher" in caught.value.remedy


@pytest.mark.parametrize("method", RECORDED)
def test_a_record_with_negative_entries_is_refused(method: str) -> None:
    mixed = ingredients(method, [draw(1)], draw(0))
    with pytest.raises(MergeError, match="never negative"):
        KERNELS[method](replace(mixed, records={"fisher": (-torch.ones(6, 5),)}))


@pytest.mark.parametrize("method", [*RECORDED, "regmean"])
def test_a_record_of_another_shape_is_refused(method: str) -> None:
    mixed = ingredients(method, [draw(1)], draw(0))
    kind = next(iter(mixed.records))
    with pytest.raises(MergeError, match="shape"):
        KERNELS[method](replace(mixed, records={kind: (torch.ones(3, 3),)}))


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_weights_of_zero_cannot_be_averaged(method: str) -> None:
    with pytest.raises(MergeError, match="sum to 0"):
        merged(method, [draw(1), draw(2)], draw(0), weights=[0.0, 0.0])


def test_regmean_gives_the_outputs_nearest_to_all_parents() -> None:
    weights, inputs = [draw(1), draw(2)], [draw(i, shape=(40, 5)) for i in (3, 4)]
    mixed = ingredients("regmean", weights, draw(0), weights=[1.0, 1.0], off_diagonal=1.0)
    mixed = replace(mixed, records={"gram": tuple(x.T @ x for x in inputs)})
    outputs = [x @ w.T for x, w in zip(inputs, weights, strict=True)]
    expected = torch.linalg.lstsq(torch.cat(inputs).double(), torch.cat(outputs).double()).solution.T
    torch.testing.assert_close(KERNELS["regmean"](mixed).double(), expected, atol=1e-5, rtol=1e-5)


def test_regmean_keeps_the_average_where_no_text_excited_the_inputs() -> None:
    weights = [draw(1), draw(2)]
    inputs = draw(3, shape=(40, 5))
    inputs[:, 2] = 0.0
    gram = inputs.T @ inputs
    mixed = ingredients("regmean", weights, draw(0), off_diagonal=1.0)
    result = KERNELS["regmean"](replace(mixed, records={"gram": (gram, 3 * gram)}))
    average = (weights[0] + weights[1]) / 2
    torch.testing.assert_close(result[:, 2], average[:, 2])
    torch.testing.assert_close(result[:, 0], (weights[0] + 3 * weights[1])[:, 0] / 4, atol=1e-5, rtol=1e-5)


def test_regmean_solves_weights_that_are_stored_input_first() -> None:
    weights = [draw(1, shape=(5, 5)), draw(2, shape=(5, 5))]
    mixed = ingredients("regmean", weights, draw(0, shape=(5, 5)))
    usual = KERNELS["regmean"](mixed)
    grams = tuple(gram[None] for gram in mixed.records["gram"] if gram is not None)
    flipped = replace(mixed, parents=tuple(w.T.contiguous() for w in weights), records={"gram": grams})
    torch.testing.assert_close(KERNELS["regmean"](flipped), usual.T)


def test_regmean_refuses_a_gram_matrix_that_only_some_parents_have() -> None:
    mixed = ingredients("regmean", [draw(1), draw(2)], draw(0))
    first, _ = mixed.records["gram"]
    with pytest.raises(MergeError, match="parent 2"):
        KERNELS["regmean"](replace(mixed, records={"gram": (first, None)}))


def test_regmean_refuses_a_gram_matrix_with_nan() -> None:
    mixed = ingredients("regmean", [draw(1)], draw(0))
    with pytest.raises(MergeError, match="NaN"):
        KERNELS["regmean"](replace(mixed, records={"gram": (torch.full((5, 5), torch.nan),)}))
