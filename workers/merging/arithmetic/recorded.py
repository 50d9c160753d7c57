"""What a calibration pass recorded of a tensor, checked, in the precision of the sums."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.errors import MergeError
from workers.merging.kernel import Ingredients


def missing_record(whose: str, kind: str) -> MergeError:
    """Returns the complaint about a record that a method needs and that was not made."""
    return MergeError(
        whose, f"has no {kind} record", f"run `evomerge calibrate MODEL --texts FILE --record {kind}` for it"
    )


def diagonals(ingredients: Ingredients, kind: str) -> tuple[Tensor, ...]:
    """Returns the parents' recorded diagonals, each of its parent's shape [...].

    Raises:
        MergeError: A parent has none, or one of another shape or with negative entries.
    """
    found = ingredients.records.get(kind, ())
    if len(found) != len(ingredients.parents):
        raise missing_record("a parent", kind)
    return tuple(
        checked_diagonal(record, parent, kind, f"parent {number}")
        for number, (record, parent) in enumerate(zip(found, ingredients.parents, strict=True), start=1)
    )


def checked_diagonal(record: Tensor | None, like: Tensor, kind: str, whose: str) -> Tensor:
    """Returns a recorded diagonal of the tensor's shape [...], none of whose entries is negative.

    Raises:
        MergeError: There is none, or it is no diagonal of this tensor.
    """
    if record is None:
        raise missing_record(whose, kind)
    if record.shape != like.shape:
        detail = f"its {kind} record has shape {list(record.shape)}, the tensor {list(like.shape)}"
        raise MergeError(whose, detail, "calibrate it again")
    if bool((record < 0).any()):
        lowest = float(torch.amin(record))
        raise MergeError(
            whose, f"its {kind} record holds {lowest:g}, and is never negative", "calibrate it again"
        )
    return record
