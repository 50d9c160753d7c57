"""Parents resident in memory: every tensor is read once and stays for all candidates."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from search_spaces import Parent
from workers.errors import CheckpointError
from workers.layout import Layout


class CheckpointReader:
    """Reads tensors of one or more checkpoints as they are asked for; files are mapped, not copied."""

    def __init__(self, layouts: Mapping[Parent, Layout], *, device: str = "cpu") -> None:
        self._layouts, self._device = layouts, device
        self._open: dict[Path, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        path = layout.tensors[name].file
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

    def close(self) -> None:
        """Closes the files."""
        self._stack.close()
        self._open.clear()


class ResidentParents:
    """All tensors of the parents, in memory for as long as an experiment lasts.

    On the CPU the files are mapped into memory, so that workers on one machine share them.  On a
    GPU they lie beside the live model where there is room for both, and in main memory otherwise.
    """

    def __init__(self, layouts: Mapping[Parent, Layout], device: str = "cpu") -> None:
        self.layouts = dict(layouts)
        self.device = device if _fits(layouts, device) else "cpu"
        self._reader = CheckpointReader(self.layouts, device=self.device)
        self._tensors: dict[tuple[Parent, str], Tensor] = {}
        for parent, layout in self.layouts.items():
            for name in layout.tensors:
                tensor = self._reader.read(parent, name)
                check_finite(parent, name, tensor)
                self._tensors[parent, name] = tensor

    def read(self, parent: Parent, name: str) -> Tensor:
        """Returns a parent's tensor; it must not be changed.

        Raises:
            CheckpointError: The parent has no such tensor.
        """
        found = self._tensors.get((parent, name))
        return found if found is not None else self._reader.read(parent, name)

    def close(self) -> None:
        """Lets the tensors go."""
        self._tensors.clear()
        self._reader.close()


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


def _fits(layouts: Mapping[Parent, Layout], device: str) -> bool:
    if not device.startswith("cuda"):
        return True
    free, _ = torch.cuda.mem_get_info(device)
    largest = max(layout.bytes for layout in layouts.values())
    # The live model and its activations need about twice a parent's size.
    return sum(layout.bytes for layout in layouts.values()) + 2 * largest < 0.9 * free
