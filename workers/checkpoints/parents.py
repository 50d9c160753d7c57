"""Reads parents' tensors from their files, as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from search_spaces import Parent
from workers.checkpoints.closing import Closing
from workers.checkpoints.layout import AddedVector, Change, Layout, LowRankChange, ReplacedRows, TensorEntry
from workers.errors import CheckpointError

_ROWS = 1024  # compared at once


class CheckpointReader(Closing):
    """Reads tensors of one or more checkpoints as they are asked for; files are mapped, not copied."""

    def __init__(self, layouts: Mapping[Parent, Layout], *, device: str = "cpu") -> None:
        self._layouts, self._device = layouts, device
        self._open: dict[Path, Any] = {}
        # Of weights that an adapter changes the last is kept: it may be asked for piece by piece.
        self._latest: dict[Parent, tuple[str, Tensor]] = {}
        self._stack = ExitStack()

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor.

        Raises:
            CheckpointError: The parent has no such tensor, or its file broke since it was inspected.
        """
        layout = self._layouts[parent]
        if name not in layout.tensors:
            raise CheckpointError(
                str(parent), f"has no tensor {name!r}", "merge models of one architecture and size"
            )
        entry = layout.tensors[name]
        stored = self._stored(entry.file, entry.stored_as or name)
        if entry.change is None:
            return stored
        if self._latest.get(parent, ("",))[0] != name:
            self._latest[parent] = name, self._changed(stored, entry.change)
        return self._latest[parent][1]

    def _stored(self, path: Path, name: str) -> Tensor:
        """Returns a tensor as it stands in a file."""
        try:
            if path not in self._open:
                self._open[path] = self._stack.enter_context(
                    safe_open(str(path), framework="pt", device=self._device)
                )
            tensor: Tensor = self._open[path].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                str(path), f"cannot be read ({error})", "save the checkpoint again"
            ) from error
        return tensor

    def _changed(self, weight: Tensor, change: Change) -> Tensor:
        """Returns the weight as an adapter changes it, in its own format, computed in float32 or wider."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        match change:
            case ReplacedRows():
                rows = torch.tensor(change.rows, device=weight.device)
                trained = self._stored(change.file, change.name).to(weight.dtype)
                return torch.index_copy(weight, 0, rows, trained)
            case AddedVector():
                added = self._stored(change.file, change.name).to(wide)
                return torch.add(weight.to(wide), added, alpha=change.scale).to(weight.dtype)
        return self._with_factors(weight.to(wide), change).to(weight.dtype)

    def _with_factors(self, weight: Tensor, change: LowRankChange) -> Tensor:
        """Returns weight + scale * up @ down, and its rows [out] at the lengths that DoRA gives them."""
        up, down = (self._stored(change.file, name).to(weight.dtype) for name in (change.up, change.down))
        added = up @ down
        summed = torch.add(weight, added.T if change.transposed else added, alpha=change.scale)
        if change.magnitude is None:
            return summed
        lengths = self._stored(change.file, change.magnitude).to(weight.dtype).reshape(-1)
        along = 0 if change.transposed else 1
        stretch = lengths / torch.linalg.vector_norm(summed, dim=along)
        return torch.mul(summed, stretch.unsqueeze(along))

    def close(self) -> None:
        """Closes the files."""
        self._stack.close()
        self._open.clear()
        self._latest.clear()


def check_finite(parent: Parent, name: str, tensor: Tensor) -> None:
    """Refuses weights that are no numbers: every candidate made of them would be broken.

    Raises:
        CheckpointError: The tensor holds NaN or infinity.
    """
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        bad = int(tensor.numel() - torch.isfinite(tensor).sum())
        raise CheckpointError(
            str(parent),
            f"tensor {name!r} holds {bad} values that are NaN or infinite",
            "use another checkpoint",
        )


def equal_tensors(one: TensorEntry, name: str, other: TensorEntry, other_name: str) -> bool:
    """Says whether two stored tensors hold the same numbers, and are changed alike by adapters.

    They are compared some rows at a time, up to the first that differ.

    Raises:
        CheckpointError: A file cannot be read.
    """
    if one.shape != other.shape or one.change != other.change:
        return False
    stored, others = one.stored_as or name, other.stored_as or other_name
    if (one.file, stored) == (other.file, others):
        return True
    try:
        with (
            safe_open(str(one.file), framework="pt") as mine,
            safe_open(str(other.file), framework="pt") as theirs,
        ):
            rows, others_rows = mine.get_slice(stored), theirs.get_slice(others)
            starts = range(0, one.shape[0] if one.shape else 1, _ROWS)
            pieces = ((rows[i : i + _ROWS], others_rows[i : i + _ROWS]) for i in starts)
            return all(torch.equal(a.to(torch.float64), b.to(torch.float64)) for a, b in pieces)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            str(one.file), f"cannot be read ({error})", "save the checkpoint again"
        ) from error
