"""What every kernel keeps to; a new one is tested by being in the table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from search_spaces.methods import METHODS
from workers.errors import MergeError
from workers.merging import KERNELS, Ingredients

SHAPE = (6, 5)
ON_TASK_VECTORS = sorted(name for name, m in METHODS.items() if m.needs_base and not m.base_is_a_parent)
TRIMMING = [name for name in ON_TASK_VECTORS if name != "task_arithmetic"]


@pytest.fixture(params=sorted(KERNELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def draw(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)


def ingredients(
    name: str,
    parents: Sequence[Tensor],
    base: Tensor,
    weights: Sequence[float] | None = None,
    **values: float,
) -> Ingredients:
    """Mixes as many of the parents as the method takes, with its defaults where nothing is said."""
    method = METHODS[name]
    parents = tuple(parents)[: method.most_parents]
    if method.base_is_a_parent and len(parents) < 2:
        parents = (base, *parents)
    per_parent: dict[str, tuple[float, ...]] = {}
    shared: dict[str, float] = {}
    for parameter in method.parameters:
        value = values.get(parameter.name, 0.5 if parameter.default is None else parameter.default)
        if parameter.scope == "shared":
            shared[parameter.name] = value
        else:
            per_parent[parameter.name] = (value,) * len(parents)
    if "weight" in per_parent:
        per_parent["weight"] = tuple(weights or [1 / max(len(parents), 1)] * len(parents))[: len(parents)]
    with_base = method.needs_base and not method.base_is_a_parent
    seeds = tuple(range(100, 100 + len(parents))) if method.random else ()
    return Ingredients(parents, base if with_base else None, per_parent, shared, seeds)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.float(), expected.float(), atol=1e-6, rtol=1e-6)


def test_every_declared_method_has_a_kernel_and_every_kernel_is_declared() -> None:
    assert KERNELS.keys() == METHODS.keys()


def test_merging_a_model_with_itself_changes_nothing(name: str) -> None:
    parent, base = draw(1), draw(2)
    mixed = ingredients(name, [parent, parent], base)
    close(KERNELS[name](mixed), parent)


def test_parents_that_are_the_base_give_the_base(name: str) -> None:
    base = draw(2)
    assert torch.equal(
        KERNELS[name](ingredients(name, [base.clone(), base.clone()], base, [0.5, 0.5], density=0.5)), base
    )


def test_a_merge_gives_the_same_bits_every_time(name: str) -> None:
    mixed = ingredients(name, [draw(1), draw(2), draw(3)], draw(0), density=0.4)
    assert torch.equal(KERNELS[name](mixed), KERNELS[name](mixed))


def test_a_kernel_writes_to_none_of_its_inputs(name: str) -> None:
    parents, base = [draw(1), draw(2), draw(3)], draw(0)
    before = [tensor.clone() for tensor in (*parents, base)]
    KERNELS[name](ingredients(name, parents, base, density=0.4))
    assert all(torch.equal(tensor, old) for tensor, old in zip((*parents, base), before, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_kernel_accumulates_in_float32(name: str, dtype: torch.dtype) -> None:
    mixed = ingredients(name, [draw(1, dtype), draw(2, dtype), draw(3, dtype)], draw(0, dtype), scale=0.7)
    exact = ingredients(
        name,
        [draw(i, dtype).double() for i in (1, 2, 3)],
        draw(0, dtype).double(),
        scale=0.7,
    )
    merged = KERNELS[name](mixed)
    assert merged.dtype == torch.float32
    assert KERNELS[name](exact).dtype == torch.float64
    close(merged, KERNELS[name](exact))


def test_one_parent_is_enough(name: str) -> None:
    merged = KERNELS[name](ingredients(name, [draw(1)], draw(0)))
    assert merged.shape == SHAPE
    assert bool(torch.isfinite(merged).all())


@pytest.mark.parametrize("name", ON_TASK_VECTORS)
def test_weights_of_zero_give_the_base(name: str) -> None:
    base = draw(0)
    mixed = ingredients(name, [draw(1), draw(2)], base, [0.0, 0.0], normalize=0.0)
    assert torch.equal(KERNELS[name](mixed), base)


@pytest.mark.parametrize("name", TRIMMING)
def test_a_density_of_zero_gives_the_base(name: str) -> None:
    base = draw(0)
    assert torch.equal(KERNELS[name](ingredients(name, [draw(1), draw(2)], base, density=0.0)), base)


@pytest.mark.parametrize("name", TRIMMING)
@pytest.mark.parametrize("density", [1e-12, 0.01, 0.999999])
def test_extreme_densities_give_numbers(name: str, density: float) -> None:
    merged = KERNELS[name](ingredients(name, [draw(1), draw(2)], draw(0), density=density))
    assert bool(torch.isfinite(merged).all())


@pytest.mark.parametrize("name", ON_TASK_VECTORS)
def test_no_parents_beside_the_base_give_the_base(name: str) -> None:
    base = draw(0)
    mixed = ingredients(name, [], base, normalize=1.0)
    assert torch.equal(KERNELS[name](mixed), base)


@pytest.mark.parametrize("name", ["linear", "task_arithmetic", "dare_linear"])
@pytest.mark.parametrize("weights", [[0.0, 0.0], [0.5, -0.5], [0.1 + 0.2, -0.3]])
def test_weights_that_sum_to_zero_cannot_be_normalized(name: str, weights: list[float]) -> None:
    with pytest.raises(MergeError, match="sum to 0 and normalize divides"):
        KERNELS[name](ingredients(name, [draw(1), draw(2)], draw(0), weights, normalize=1.0))


@pytest.mark.parametrize("name", ["ties", "dare_ties"])
def test_weights_that_nearly_cancel_do_not_blow_a_vote_up(name: str) -> None:
    delta = draw(1).abs()
    parents = [draw(0) + delta, draw(0) - delta]  # both contributions point the same way
    merged = KERNELS[name](ingredients(name, parents, draw(0), [0.3, -0.3 + 1e-9], normalize=1.0))
    assert float((merged - draw(0)).abs().max()) < 10


@pytest.mark.parametrize("name", ["ties", "dare_ties"])
def test_a_vote_keeps_the_contributions_of_the_elected_sign(name: str) -> None:
    base = torch.zeros(4)
    parents = [torch.tensor([1.0, 2.0, -1.0, 1.0]), torch.tensor([3.0, -1.0, -2.0, -1.0])]
    merged = KERNELS[name](ingredients(name, parents, base, [1.0, 1.0], normalize=0.0))
    # The last entry is a tie, which plus wins.
    assert merged.tolist() == [4.0, 2.0, -3.0, 1.0]


def test_ties_normalizes_by_the_weights_that_took_part() -> None:
    parents = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0])]
    merged = KERNELS["ties"](ingredients("ties", parents, torch.zeros(2), [1.0, 3.0], normalize=1.0))
    assert merged.tolist() == [2.5, -1.0]  # 2 * 1 against -1 * 3: minus is elected


def test_dare_without_dropping_is_task_arithmetic() -> None:
    parents, weights = [draw(1), draw(2), draw(3)], [0.5, 0.3, -0.2]
    dare, plain = (
        KERNELS[n](ingredients(n, parents, draw(0), weights)) for n in ("dare_linear", "task_arithmetic")
    )
    assert torch.equal(dare, plain)


def test_rescaling_restores_the_l1_norm_of_the_task_vector() -> None:
    parent = draw(1)
    merged = KERNELS["dare_linear"](
        ingredients("dare_linear", [parent], torch.zeros(SHAPE), [1.0], density=0.3, rescale=1.0)
    )
    assert float(merged.abs().sum()) == pytest.approx(float(parent.abs().sum()), rel=1e-6)
    assert 0 < int((merged == 0).sum()) < merged.numel()


def test_a_mask_does_not_depend_on_the_other_parents() -> None:
    base, parent = torch.zeros(SHAPE), draw(1)
    alone = ingredients("dare_linear", [parent], base, [1.0], density=0.5, rescale=0.0)
    beside = ingredients("dare_linear", [parent, draw(2)], base, [1.0, 0.0], density=0.5, rescale=0.0)
    assert torch.equal(KERNELS["dare_linear"](alone), KERNELS["dare_linear"](beside))


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
        merged = KERNELS["slerp"](Ingredients((start, end), shared={"t": t}))
        assert bool(torch.isfinite(merged).all())
        if t in (0.0, 1.0):
            close(merged, end if t else start)


def test_slerp_keeps_to_the_arc() -> None:
    start, end = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    merged = KERNELS["slerp"](Ingredients((start, end), shared={"t": 1 / 3}))
    close(merged, torch.tensor([3**0.5 / 2, 0.5]))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_number_is_never_merged_away(name: str, broken: float) -> None:
    parent = draw(1)
    parent[2, 3] = broken
    for seed in range(4):  # a random mask drops it in some of these
        mixed = ingredients(name, [parent, draw(2)], draw(0), density=0.3, rescale=0.0, scale=0.5)
        mixed = Ingredients(
            mixed.parents, mixed.base, mixed.per_parent, mixed.shared, tuple(s + seed for s in mixed.seeds)
        )
        assert not bool(torch.isfinite(KERNELS[name](mixed)).all())
