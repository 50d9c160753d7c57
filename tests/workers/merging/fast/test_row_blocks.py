from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from search_spaces import Parent
from search_spaces.catalogue.methods import METHODS
from workers.merging.plan import Input, TensorPlan
from workers.merging.row_blocks import ROW_BY_ROW, can_be_cut, cut, parts_of, rows_within, working_bytes
from workers.merging.stream import Sources, merge_tensor

BASE, PARENTS = Parent(model="base"), tuple(Parent(model=f"parent{i}") for i in range(3))


def plan_for(name: str, shape: tuple[int, ...], **choices: str) -> TensorPlan:
    method = METHODS[name]
    count = min(method.most_parents or 3, 3)
    defaults = {p.name: 0.3 if p.default is None else p.default for p in method.parameters}
    defaults |= {"density": 0.5}
    return TensorPlan(
        name="w",
        shape=shape,
        kernel=name,
        inputs=tuple(Input(parent, "w") for parent in PARENTS[:count]),
        base=Input(BASE, "w") if method.needs_base or method.takes_base else None,
        per_parent={p.name: (defaults[p.name],) * count for p in method.parameters if p.scope == "parent"},
        shared={
            p.name: defaults[p.name] for p in method.parameters if p.scope == "shared" and p.kind != "choice"
        },
        choices={p.name: p.choices[0] for p in method.parameters if p.kind == "choice"} | choices,
        out_dtype="bfloat16",
    )


def weights(shape: tuple[int, ...]) -> dict[Parent, Tensor]:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(shape, generator=generator)
    near = {p: base + 0.1 * torch.randn(shape, generator=generator) for p in PARENTS}
    return {parent: tensor.bfloat16() for parent, tensor in ({BASE: base} | near).items()}


@pytest.mark.parametrize("shape", [(7,), (12, 5), (1, 40), (40, 1), (6, 4, 5)], ids=str)
@pytest.mark.parametrize("name", sorted(ROW_BY_ROW))
def test_pieces_of_some_rows_are_what_the_whole_tensor_is_bit_for_bit(
    name: str, shape: tuple[int, ...]
) -> None:
    plan, tensors = plan_for(name, shape, granularity="row"), weights(shape)
    if not can_be_cut(plan):
        assert len(shape) == 1  # a vector is one row
        return
    whole = merge_tensor(plan, Sources(lambda parent, _: tensors[parent]))
    for rows in (1, 3, shape[0]):
        pieces = [
            merge_tensor(cut(plan, part), Sources(lambda parent, _, part=part: tensors[parent][part]))  # type: ignore[misc]
            for part in parts_of(plan, rows)
        ]
        assert torch.equal(torch.cat(pieces).view(torch.int16), whole.view(torch.int16))


def test_methods_that_look_at_the_whole_tensor_are_not_cut() -> None:
    for name in ("slerp", "dare_linear", "ties", "model_stock"):
        assert not can_be_cut(plan_for(name, (64, 64)))


def test_tensors_without_rows_are_not_cut() -> None:
    assert not can_be_cut(plan_for("linear", ()))
    assert not can_be_cut(plan_for("linear", (0, 4)))


def test_the_runs_of_rows_cover_a_tensor_once_in_order() -> None:
    plan = plan_for("linear", (10, 2))
    for rows in range(1, 11):
        runs = list(parts_of(plan, rows))
        assert [row for run in runs for row in range(10)[run]] == list(range(10))
        assert all(0 < run.stop - run.start <= rows for run in runs)


def test_a_smaller_budget_means_fewer_rows_until_it_is_too_small() -> None:
    plan = plan_for("linear", (100_000, 1000))
    size = 3 * 2 * 100_000 * 1000
    assert rows_within(plan, size, None) == rows_within(plan, size, 10**10)
    found = [rows_within(plan, size, budget) for budget in (100_000_000, 50_000_000, 10_000_000, 1_000_000)]
    assert found[-1] is None
    numbers = [rows for rows in found if rows is not None]
    assert numbers == sorted(numbers, reverse=True)
    for rows, budget in zip(numbers, (100_000_000, 50_000_000, 10_000_000), strict=True):
        assert working_bytes(plan, size, rows * 1000) <= budget


def test_a_method_that_was_not_measured_is_taken_for_the_neediest() -> None:
    plan = plan_for("linear", (64, 64))
    known = [working_bytes(replace(plan, kernel=name), 10_000) for name in METHODS]
    assert working_bytes(replace(plan, kernel="new"), 10_000) == max(known)
