"""What every kernel keeps to; a new one is tested by being in the table.

Each runs by default, and with each word of its choices and each of its switches turned.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from search_spaces.catalogue.methods import METHODS
from tests.workers.merging.kernel_contract import (
    SHAPE,
    Variant,
    close,
    draw,
    ingredients,
    merged,
    surveyed,
    variants,
)
from workers.errors import MergeError
from workers.merging.methods import KERNELS, MIXTURES, PREPARATIONS, SURVEYS, Ingredients

VARIANTS = {str(variant): variant for variant in variants()}
ON_TASK_VECTORS = [v for v in VARIANTS.values() if v.on_task_vectors]
# Task arithmetic takes a density for mergekit's sake and does nothing with it.
TRIMMING = [v for v in ON_TASK_VECTORS if v.has("density") and v.name != "task_arithmetic"]
BASE = 2  # its place behind two parents
# Why weights of zero give more than the base.
MORE_THAN_WEIGHTED = {
    "gradient_matching": "the prior makes a step whatever the weights say",
    "twin_merging": "all parents make the shared expert, whatever the router says",
}
# Why a model merged with itself is another one.
NOT_ITSELF = {
    "arcee_fusion": "only the most important entries are taken over",
    "compeft": "a task vector is brought to three values",
    "consensus": "entries that matter to too few parents are dropped",
    "gradient_matching": "each parent makes a step with the prior on top of its own",
    "iso_c": "singular values are made equal",
    "nearswap": "no entry moves further than t",
    "pcb": "only the winners are averaged",
    "r_tsvm": "each parent gets a part of the ranks",
    "tall_mask": "entries are dropped that other parents need more",
    "tsvm": "each parent gets a part of the ranks",
    "ties merge_function=max": "one weighted contribution is taken, not their sum",
}


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[str(request.param)]


def test_every_declared_method_has_a_kernel_and_every_kernel_is_declared() -> None:
    assert KERNELS.keys() == METHODS.keys()


def test_only_kernels_have_surveys_mixtures_and_preparations() -> None:
    assert KERNELS.keys() >= SURVEYS.keys() | MIXTURES.keys() | PREPARATIONS.keys()


@pytest.mark.parametrize(
    "variant", [v for k, v in VARIANTS.items() if not {k, v.name} & NOT_ITSELF.keys()], ids=str
)
def test_merging_a_model_with_itself_changes_nothing(variant: Variant) -> None:
    parent, base = draw(1), draw(2)
    close(merged(variant, [parent, parent], base, density=1.0), parent, variant.tolerance)


def test_equal_parents_give_numbers(variant: Variant) -> None:
    result = merged(variant, [draw(1)] * 3, draw(2), density=0.5)
    assert bool(torch.isfinite(result).all())


def test_parents_that_are_the_base_give_the_base(variant: Variant) -> None:
    base = draw(2)
    result = merged(variant, [base.clone(), base.clone()], base, [0.5, 0.5], density=0.5)
    if variant.on_task_vectors:
        assert torch.equal(result, base)
    else:
        close(result, base, variant.tolerance)


def test_a_merge_gives_the_same_bits_every_time(variant: Variant) -> None:
    parents = [draw(1), draw(2), draw(3)]
    first, second = (merged(variant, parents, draw(0), density=0.4) for _ in range(2))
    assert torch.equal(first, second)


def test_a_kernel_writes_to_none_of_its_inputs(variant: Variant) -> None:
    mixed = ingredients(variant, [draw(1), draw(2), draw(3)], draw(0), density=0.4)
    records = [tensor for found in mixed.records.values() for tensor in found]
    given = [t for t in (*mixed.parents, mixed.base, *records, *mixed.base_records.values()) if t is not None]
    before = [tensor.clone() for tensor in given]
    KERNELS[variant.name](surveyed(variant.name, mixed))
    assert all(torch.equal(tensor, old) for tensor, old in zip(given, before, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_kernel_accumulates_in_float32(variant: Variant, dtype: torch.dtype) -> None:
    parents, base = [draw(i, dtype) for i in (1, 2, 3)], draw(0, dtype)
    result = merged(variant, parents, base, scale=0.7)
    exact = merged(variant, [parent.double() for parent in parents], base.double(), scale=0.7)
    assert result.dtype == torch.float32
    assert exact.dtype == torch.float64
    close(result, exact, variant.tolerance)


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        (variant, count)
        for variant in VARIANTS.values()
        for count in (1, 2, 5)
        if count >= variant.method.fewest_parents or variant.method.base_is_a_parent
    ],
    ids=str,
)
def test_any_number_of_parents_that_the_method_allows_gives_numbers(variant: Variant, count: int) -> None:
    result = merged(variant, [draw(i + 1) for i in range(count)], draw(0))
    assert result.shape == SHAPE
    assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("shape", [(7,), (1,), (1, 5), (5, 1), (1, 1), (3, 4, 5), (2, 3, 4, 5), ()])
def test_a_tensor_of_any_shape_gives_numbers_of_that_shape(variant: Variant, shape: tuple[int, ...]) -> None:
    parents = [draw(i, shape=shape) for i in (1, 2, 3)]
    result = merged(variant, parents, draw(0, shape=shape), density=0.5)
    assert result.shape == shape
    assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
def test_a_tensor_without_entries_stays_so(variant: Variant, shape: tuple[int, ...]) -> None:
    parents = [draw(i, shape=shape) for i in (1, 2, 3)]
    assert merged(variant, parents, draw(0, shape=shape), density=0.5).shape == shape


@pytest.mark.parametrize("shape", [(7,), (1, 5), (5, 1), (3, 4, 5)])
def test_parents_that_are_the_base_give_the_base_whatever_the_shape(
    variant: Variant, shape: tuple[int, ...]
) -> None:
    base = draw(2, shape=shape)
    close(merged(variant, [base.clone(), base.clone()], base, density=0.5), base, variant.tolerance)


def test_the_sign_of_a_zero_changes_nothing(variant: Variant) -> None:
    parents, base = [draw(1), draw(2), draw(3)], draw(0)
    for tensor in (*parents, base):
        tensor.view(-1)[::3] = 0.0
    minus = [tensor.where(tensor != 0.0, torch.tensor(-0.0)) for tensor in parents]
    plus = merged(variant, parents, base, density=0.5)
    assert torch.equal(plus, merged(variant, minus, base, density=0.5))
    assert torch.equal(plus, merged(variant, [parents[0], minus[1], parents[2]], base, density=0.5))


def test_zeros_of_both_signs_give_zeros(variant: Variant) -> None:
    nothing = torch.zeros(SHAPE)
    result = merged(variant, [-nothing, nothing, -nothing], nothing, density=0.5)
    assert torch.equal(result, nothing)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("variant", "owner"),
    [
        (variant, owner)
        for variant in VARIANTS.values()
        for owner in (0, 1, BASE)
        if (variant.on_task_vectors if owner == BASE else owner < (variant.method.most_parents or 2))
    ],
    ids=str,
)
def test_a_broken_number_is_never_merged_away(variant: Variant, broken: float, owner: int) -> None:
    tensors = [draw(1), draw(2), draw(0)]
    tensors[owner][2, 3] = broken
    for seed in range(4):  # a random mask drops it in some of these
        try:
            mixed = ingredients(variant, tensors[:2], tensors[2], density=0.3, rescale=0.0, scale=0.5)
            mixed = replace(mixed, seeds=tuple(s + seed for s in mixed.seeds))
            result = KERNELS[variant.name](mixed)
        except MergeError:
            continue  # the stream names the tensor
        assert not bool(torch.isfinite(result).all())


@pytest.mark.parametrize(
    "variant", [v for v in ON_TASK_VECTORS if v.has("weight") and v.name not in MORE_THAN_WEIGHTED], ids=str
)
def test_weights_of_zero_give_the_base_or_are_refused_where_they_divide(variant: Variant) -> None:
    base = draw(0)
    try:
        result = merged(variant, [draw(1), draw(2)], base, [0.0, 0.0])
    except MergeError as error:
        assert "weight" in str(error)
    else:
        assert torch.equal(result, base)


@pytest.mark.parametrize("variant", TRIMMING, ids=str)
def test_a_density_of_zero_gives_the_base(variant: Variant) -> None:
    base = draw(0)
    assert torch.equal(merged(variant, [draw(1), draw(2)], base, density=0.0), base)


@pytest.mark.parametrize("variant", TRIMMING, ids=str)
@pytest.mark.parametrize("density", [1e-12, 0.01, 0.999999])
def test_extreme_densities_give_numbers(variant: Variant, density: float) -> None:
    assert bool(torch.isfinite(merged(variant, [draw(1), draw(2)], draw(0), density=density)).all())


@pytest.mark.parametrize("variant", [v for v in ON_TASK_VECTORS if v.method.fewest_parents < 2], ids=str)
def test_no_parents_beside_the_base_give_the_base(variant: Variant) -> None:
    base = draw(0)
    assert torch.equal(merged(variant, [], base), base)


ADDING = ["linear", "task_arithmetic", "dare_linear", "della_linear", "breadcrumbs"]
VOTING = ["ties", "dare_ties", "della", "breadcrumbs_ties"]


@pytest.mark.parametrize("name", ADDING)
@pytest.mark.parametrize("weights", [[0.0, 0.0], [0.5, -0.5], [0.1 + 0.2, -0.3]])
def test_weights_that_sum_to_zero_cannot_be_normalized(name: str, weights: list[float]) -> None:
    with pytest.raises(MergeError, match="sum to 0 and normalize divides"):
        merged(name, [draw(1), draw(2)], draw(0), weights, normalize=1.0)


@pytest.mark.parametrize("name", VOTING)
def test_weights_that_nearly_cancel_do_not_blow_a_vote_up(name: str) -> None:
    delta = draw(1).abs()
    parents = [draw(0) + delta, draw(0) - delta]  # both contributions point the same way
    result = merged(name, parents, draw(0), [0.3, -0.3 + 1e-9], normalize=1.0)
    assert float((result - draw(0)).abs().max()) < 10


@pytest.mark.parametrize("name", VOTING)
def test_a_vote_keeps_the_contributions_of_the_elected_sign(name: str) -> None:
    base = torch.zeros(4)
    parents = [torch.tensor([1.0, 2.0, -1.0, 1.0]), torch.tensor([3.0, -1.0, -2.0, -1.0])]
    result = merged(name, parents, base, [1.0, 1.0], normalize=0.0)
    # The last entry is a tie, which plus wins.
    assert result.tolist() == [4.0, 2.0, -3.0, 1.0]


@pytest.mark.parametrize(
    ("merge_function", "expected"),
    [("mean", [2.5, -1.0, 1.0]), ("sum", [10.0, -3.0, 4.0]), ("max", [9.0, -3.0, 3.0])],
)
def test_ties_merges_by_the_function_asked_for(merge_function: str, expected: list[float]) -> None:
    parents = [torch.tensor([1.0, 2.0, 1.0]), torch.tensor([3.0, -1.0, 1.0])]
    # Elected by weighted contributions: 2 * 1 against -1 * 3 gives minus.
    result = merged("ties", parents, torch.zeros(3), [1.0, 3.0], merge_function=merge_function)
    assert result.tolist() == expected


@pytest.mark.parametrize("name", ["dare_linear", "della_linear", "breadcrumbs", "dare"])
def test_without_dropping_the_sum_is_task_arithmetic(name: str) -> None:
    parents, weights = [draw(1), draw(2), draw(3)], [0.5, 0.3, -0.2]
    thinned, plain = (merged(n, parents, draw(0), weights) for n in (name, "task_arithmetic"))
    assert torch.equal(thinned, plain)


@pytest.mark.parametrize("name", ["dare_linear", "della_linear"])
def test_rescaling_restores_the_l1_norm_of_the_task_vector(name: str) -> None:
    parent = draw(1)
    result = merged(name, [parent], torch.zeros(SHAPE), [1.0], density=0.3, rescale=1.0)
    assert float(result.abs().sum()) == pytest.approx(float(parent.abs().sum()), rel=1e-6)
    assert 0 < int((result == 0).sum()) < result.numel()


@pytest.mark.parametrize("name", ["dare_linear", "della_linear", "dare"])
def test_a_mask_does_not_depend_on_the_other_parents(name: str) -> None:
    base, parent = torch.zeros(SHAPE), draw(1)
    alone = merged(name, [parent], base, [1.0], density=0.5, rescale=0.0)
    beside = merged(name, [parent, draw(2)], base, [1.0, 0.0], density=0.5, rescale=0.0)
    assert torch.equal(alone, beside)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_slerp_survives_vectors_without_a_direction_between_them(t: float) -> None:
    vector, nothing = draw(1), torch.zeros(SHAPE)
    for start, end in [
        (vector, -vector),
        (vector, vector * 3),
        (nothing, vector),
        (vector, nothing),
        (nothing, nothing),
    ]:
        result = slerp(start, end, t)
        assert bool(torch.isfinite(result).all())
        if t in (0.0, 1.0):
            close(result, end if t else start)


def test_slerp_keeps_to_the_arc() -> None:
    result = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1 / 3)
    close(result, torch.tensor([3**0.5 / 2, 0.5]))


def slerp(start: Tensor, end: Tensor, t: float) -> Tensor:
    return KERNELS["slerp"](Ingredients((start, end), shared={"t": t}))
