"""VaRM and SCE against the authors' code, and where mergekit's SCE is not the paper's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.workers.merging.extra_cases import WholeMerge, common_inputs, expected_of, parameters_of
from workers.merging.methods import KERNELS, Ingredients

GOLDEN = "fusechat_varm_sce"
CASES = {str(case["case"]): case for case in parameters_of(GOLDEN)["cases"]}


def parents() -> list[dict[str, Tensor]]:
    return [common_inputs(f"model_{letter}") for letter in "abc"]


def close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, atol=tolerance, rtol=0.0, msg=name)


def sce(parents: list[Tensor], base: Tensor, share: float = 1.0, applies: str = "deltas") -> Tensor:
    shared = {"select_topk": share, "int8_mask": 0.0}
    return KERNELS["sce"](
        Ingredients(tuple(parents), base, {}, shared, choices={"select_applies_to": applies})
    )


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("sce")])
def test_sce_with_selected_weights_is_the_authors_code(case: str) -> None:
    merge = WholeMerge(
        "sce",
        parents(),
        common_inputs("base"),
        select_topk=CASES[case]["select_topk"],
        select_applies_to="weights",
    )
    close(merge.merged(), expected_of(GOLDEN, case))


def test_varm_is_the_authors_code() -> None:
    merged = WholeMerge("varm", parents(), common_inputs("base")).merged()
    close(merged, expected_of(GOLDEN, "varm_matrix"))


def test_selected_deltas_and_selected_weights_agree_where_everything_is_selected() -> None:
    base, tensors = common_inputs("base"), parents()
    name = next(iter(base))
    inputs = [parent[name] for parent in tensors]
    assert torch.equal(sce(inputs, base[name]), sce(inputs, base[name], applies="weights"))
    assert not torch.equal(sce(inputs, base[name], 0.5), sce(inputs, base[name], 0.5, "weights"))


def test_task_vectors_of_fine_tuned_size_keep_their_true_weights() -> None:
    """mergekit takes equal weights where the mean squares sum to less than 1e-6, as they do in practice."""
    strong, weak = torch.full((4, 4), 5e-4), torch.full((4, 4), 1e-4)
    merged = sce([strong, weak], torch.zeros(4, 4))
    squares = 25.0, 1.0
    expected = (25.0 * 5e-4 + 1.0 * 1e-4) / sum(squares)
    torch.testing.assert_close(merged, torch.full((4, 4), expected), rtol=1e-6, atol=0.0)


def test_the_scale_of_the_task_vectors_changes_no_weight() -> None:
    draw = torch.Generator().manual_seed(0)
    deltas = [torch.randn(8, 8, generator=draw) for _ in range(3)]
    whole, small = (
        sce([delta * scale for delta in deltas], torch.zeros(8, 8)) / scale for scale in (1.0, 2.0**-14)
    )
    torch.testing.assert_close(whole, small, rtol=1e-6, atol=0.0)


def test_the_entries_that_vary_most_are_selected_and_equal_ones_in_the_order_of_memory() -> None:
    first = torch.tensor([1.0, 3.0, 1.0, 1.0, 0.0])
    second = torch.tensor([2.0, 7.0, 2.0, 2.0, 0.0])
    merged = sce([first, second], torch.zeros(5), 0.5)  # of four that vary, two
    assert (merged != 0).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_selecting_nothing_gives_the_base(share: float) -> None:
    base = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(sce([base + 1.0, base - 2.0], base, share), base)


def test_a_broken_number_shows_although_nothing_is_selected() -> None:
    broken = torch.tensor([1.0, float("nan"), 2.0])
    assert bool(sce([broken, torch.ones(3)], torch.zeros(3), 0.0).isnan().any())
    assert bool(sce([broken, torch.ones(3)], torch.zeros(3), 0.4).isnan().any())


def test_a_sum_of_zero_elects_plus() -> None:
    merged = sce([torch.tensor([1.0]), torch.tensor([-1.0])], torch.zeros(1))
    assert merged.tolist() == [1.0]
