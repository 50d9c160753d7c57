"""The device that a name stands for."""

from __future__ import annotations

import torch

from workers.errors import PreparationError


def device_named(name: str) -> torch.device:
    """Returns the device of a name; `auto` is the first GPU, where there is one.

    Raises:
        PreparationError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise PreparationError("device", f"{name!r} is none", "write cpu, cuda, cuda:1 or auto") from error
    if device.type not in ("cpu", "cuda"):
        raise PreparationError("device", f"nothing is computed on {name}", "write cpu, cuda, cuda:1 or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        detail = f"there is no {name}: this machine has {torch.cuda.device_count()} CUDA devices"
        raise PreparationError("device", detail, "write cpu or auto, or see `evomerge doctor`")
    return device
