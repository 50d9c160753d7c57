"""RAM, Nearswap, Arcee Fusion and sparse soups: what happens where the parents meet, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.methods import KERNELS, Ingredients

NAN = float("nan")


def ram(method: str, parents: Sequence[Tensor], base: Tensor, **values: float) -> Tensor:
    shared = {"epsilon": 1e-5, "r": 0.1, "alpha": 0.2} | values
    return KERNELS[method](Ingredients(tuple(parents), base, {}, shared))


def nearswap(parent: Tensor, base: Tensor, t: float) -> Tensor:
    return KERNELS["nearswap"](Ingredients((parent,), base, {}, {"t": t}))


def fusion(parent: Tensor, base: Tensor, spread: float = 1.5) -> Tensor:
    return KERNELS["arcee_fusion"](Ingredients((parent,), base, {}, {"spread": spread}))


def soup(parents: Sequence[Tensor], mask: str, *, normalize: float = 1.0) -> Tensor:
    weights = {"weight": (1.0,) * len(parents)}
    return KERNELS["sparse_soup"](
        Ingredients(tuple(parents), None, weights, {"normalize": normalize}, choices={"mask": mask})
    )


def test_ram_keeps_what_one_parent_changed_and_averages_what_several_did() -> None:
    first, second = torch.tensor([1.0, 2.0, 0.0, 1e-6]), torch.tensor([3.0, 0.0, 4.0, 0.0])
    assert ram("ram", [first, second], torch.zeros(4)).tolist() == [2.0, 2.0, 4.0, 0.0]


def test_ramplus_stretches_a_parents_own_part_by_its_overlap_with_the_others() -> None:
    first = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])  # shares one entry, has four of its own
    second = torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0, 3.0])  # shares one, has one of its own
    merged = ram("ramplus_tl", [first, second], torch.zeros(6), r=0.5, alpha=0.6)
    expected = torch.tensor([2.0, *[1.0 + 0.5 * 0.25] * 4, 3.0 * (1.0 + 0.5 * 0.6)])
    torch.testing.assert_close(merged, expected)


@pytest.mark.parametrize("method", ["ram", "ramplus_tl"])
def test_parents_that_share_everything_or_nothing_are_no_trouble_to_ram(method: str) -> None:
    ones = torch.ones(3)
    assert torch.equal(ram(method, [ones, ones], torch.zeros(3)), ones)
    assert torch.equal(ram(method, [ones, ones, ones], ones), ones)
    assert torch.equal(ram(method, [], ones), ones)
    broken = ram(method, [torch.tensor([NAN, 1.0, 0.0]), ones], torch.zeros(3))
    assert bool(broken.isnan()[0])


def test_nearswap_takes_what_is_near_and_moves_no_further_than_t() -> None:
    base, parent = torch.zeros(4), torch.tensor([0.0005, -0.001, 0.1, -5.0])
    torch.testing.assert_close(nearswap(parent, base, 0.001), torch.tensor([0.0005, -0.001, 0.001, -0.001]))
    assert torch.equal(nearswap(parent, base, 0.0), base)


def test_nearswap_of_a_broken_number_is_one() -> None:
    merged = nearswap(torch.tensor([NAN, float("inf"), 1.0]), torch.zeros(3), 0.1)
    assert merged.isfinite().tolist() == [False, False, True]


def test_arcee_fusion_takes_an_entry_or_leaves_it() -> None:
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(40, 30, generator=draw)
    parent = base + torch.randn(40, 30, generator=draw) * 0.1
    merged = fusion(parent, base)
    taken = ~torch.isclose(merged, base, atol=1e-7)
    torch.testing.assert_close(merged[taken], parent[taken])
    assert 0.01 < float(taken.float().mean()) < 0.3
    more = ~torch.isclose(fusion(parent, base, 0.0), base, atol=1e-7)
    assert float(more.float().mean()) == pytest.approx(0.5, abs=0.01)  # what lies above the median
    assert bool((more | ~taken).all())


def test_arcee_fusion_of_more_than_a_million_entries_draws_no_sample() -> None:
    draw = torch.Generator().manual_seed(1)
    base = torch.randn(1100, 1000, generator=draw)
    parent = base + torch.randn(1100, 1000, generator=draw) * 0.1
    state = torch.random.get_rng_state()
    first = fusion(parent, base, 0.0)
    assert torch.equal(state, torch.random.get_rng_state())
    share = float((first != base).float().mean())
    assert share == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1), (2, 3, 4), (0, 4), (0,), ()])
def test_arcee_fusion_takes_tensors_of_any_shape(shape: tuple[int, ...]) -> None:
    base = torch.ones(shape)
    merged = fusion(base + 0.5, base)
    assert merged.shape == shape
    assert bool(merged.isfinite().all())
    assert torch.equal(fusion(base, base), base)


@pytest.mark.parametrize("broken", [0, 1])
def test_a_broken_number_shows_after_arcee_fusion(broken: int) -> None:
    pair = [torch.randn(4, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    pair[broken][2, 3] = NAN
    assert not bool(fusion(pair[0], pair[1]).isfinite().all())


def test_a_soup_of_models_pruned_alike_is_as_sparse_as_they_are() -> None:
    first, second = torch.tensor([1.0, 0.0, 3.0, 0.0]), torch.tensor([2.0, -0.0, -1.0, 0.0])
    assert soup([first, second], "shared").tolist() == [1.5, 0.0, 1.0, 0.0]
    assert soup([first, second], "shared", normalize=0.0).tolist() == [3.0, 0.0, 2.0, 0.0]


def test_a_soup_of_models_pruned_differently_needs_a_word_about_it() -> None:
    first, second = torch.tensor([2.0, 0.0, 4.0]), torch.tensor([2.0, 6.0, 0.0])
    with pytest.raises(MergeError, match=r"parent 2 .* 2 of 3 entries differ; write mask: union"):
        soup([first, second], "shared")
    assert soup([first, second], "union").tolist() == [2.0, 3.0, 2.0]
    assert soup([first, second], "intersection").tolist() == [2.0, 0.0, 0.0]


def test_a_soup_whose_sum_is_zero_stays_inside_its_mask_and_hides_no_broken_number() -> None:
    assert soup([torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 0.0])], "shared").tolist() == [0.0, 0.0]
    assert bool(soup([torch.tensor([NAN]), torch.tensor([0.0])], "intersection").isnan())
