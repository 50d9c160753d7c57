"""Inputs and expected outputs that reference implementations gave; copies of the cases relied on."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"


def golden(case: str, file: str, prefix: str) -> dict[str, Tensor]:
    """Returns a file's tensors whose names begin with `prefix/`, without it."""
    tensors = load_file(FOLDER / case / f"{file}.safetensors")
    found = {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(f"{prefix}/")}
    assert found, f"{case} has no {prefix}"
    return found
