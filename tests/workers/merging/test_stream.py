"""Merging tensor by tensor: casts, rounding, and errors that name the tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.layout import Layout
from workers.errors import MergeError
from workers.merging.arithmetic.precision import check_finite
from workers.merging.plan import Input, MergePlan, TensorPlan
from workers.merging.stream import Sources, merge_tensor, merged_tensors

LEFT, RIGHT = Parent(model="org/left"), Parent(model="org/right")


class Shelf:
    """Tensors of two parents, as a worker holds them."""

    def __init__(self, left: Tensor, right: Tensor) -> None:
        self.tensors = {(LEFT, "w"): left, (RIGHT, "w"): right}

    def read(self, parent: Parent, name: str) -> Tensor:
        return self.tensors[parent, name]


def average(weights: tuple[float, float] = (0.5, 0.5), **fields: str | None) -> TensorPlan:
    return TensorPlan(
        name="out.w",
        shape=(3,),
        kernel="linear",
        inputs=(Input(LEFT, "w"), Input(RIGHT, "w")),
        per_parent={"weight": weights},
        shared={"normalize": 1.0},
        dtype=fields.get("dtype"),
        out_dtype=fields.get("out_dtype", "float32"),
    )


def test_the_result_is_rounded_once_to_the_format_asked_for() -> None:
    shelf = Shelf(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.001, 2.0, 3.0]))
    merged = merge_tensor(average(out_dtype="bfloat16"), Sources(shelf.read))
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged, torch.tensor([1.0005, 2.0, 3.0]).bfloat16())


def test_inputs_are_cast_to_the_recipes_format_first() -> None:
    shelf = Shelf(torch.full((3,), 1.001), torch.full((3,), 1.001))
    merged = merge_tensor(average(dtype="bfloat16"), Sources(shelf.read))
    assert merged.tolist() == [1.0, 1.0, 1.0]


def test_tensors_without_a_kernel_are_copied() -> None:
    shelf = Shelf(torch.arange(3), torch.zeros(3))
    plan = TensorPlan(name="ids", shape=(3,), kernel=None, inputs=(Input(LEFT, "w"),))
    assert merge_tensor(plan, Sources(shelf.read)).tolist() == [0, 1, 2]


def test_a_kernels_complaint_names_the_tensor() -> None:
    shelf = Shelf(torch.ones(3), torch.ones(3))
    with pytest.raises(MergeError, match=r"^out\.w: weight: the weights \[0\.5, -0\.5\] sum to 0") as caught:
        merge_tensor(average((0.5, -0.5)), Sources(shelf.read))
    assert caught.value.field == "out.w"


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_broken_input_is_refused_with_its_parent_and_tensor(broken: float) -> None:
    shelf = Shelf(torch.ones(3), torch.tensor([1.0, broken, 1.0]))
    with pytest.raises(MergeError, match=r"w of org/right: 1 of 3 values are NaN or infinite"):
        merge_tensor(average(), Sources(shelf.read))


def test_an_overflow_is_told_from_a_broken_input() -> None:
    shelf = Shelf(torch.full((3,), 6e4), torch.full((3,), 1e5))
    with pytest.raises(MergeError, match=r"out\.w: the merged values overflow float16"):
        merge_tensor(average(out_dtype="float16"), Sources(shelf.read))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.int64])
def test_sound_and_empty_tensors_pass(dtype: torch.dtype) -> None:
    check_finite("w", torch.ones(3).to(dtype))
    check_finite("w", torch.ones(0).to(dtype))


def test_the_order_of_the_tensors_changes_no_bit() -> None:
    base = torch.zeros(500)
    tensors = {
        name: torch.randn(500, generator=torch.Generator().manual_seed(i)) for i, name in enumerate("abc")
    }
    plans = [
        TensorPlan(
            name=name,
            shape=(500,),
            kernel="dare_ties",
            inputs=(Input(LEFT, name),),
            base=Input(RIGHT, name),
            per_parent={"weight": (1.0,), "density": (0.5,)},
            shared={"normalize": 0.0, "rescale": 1.0, "lambda": 1.0, "int8_mask": 0.0},
            seeds=(i,),
            out_dtype="float32",
        )
        for i, name in enumerate(tensors)
    ]

    def read(parent: Parent, name: str) -> Tensor:
        return tensors[name] if parent == LEFT else base

    forward = {plan.name: merge_tensor(plan, Sources(read)) for plan in plans}
    backward = {plan.name: merge_tensor(plan, Sources(read)) for plan in reversed(plans)}
    assert all(torch.equal(forward[name], backward[name]) for name in tensors)


def test_a_stream_yields_the_plans_tensors_in_order() -> None:
    shelf = Shelf(torch.ones(3), torch.zeros(3))
    owner = Layout(LEFT, Path(), {}, {}, layers=1, layer_prefix="model.layers.")
    copy = TensorPlan(name="ids", shape=(3,), kernel=None, inputs=(Input(LEFT, "w"),))
    plan = MergePlan((average(), copy), 1, owner)
    assert [(name, tensor.tolist()) for name, tensor in merged_tensors(plan, shelf.read)] == [
        ("out.w", [0.5, 0.5, 0.5]),
        ("ids", [1.0, 1.0, 1.0]),
    ]
