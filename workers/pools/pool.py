"""Opens the workforce that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from workers.pools.inline_pool import InlinePool
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import Workforce, WorkforceKind


def _open_ray(state_folder: Path) -> Workforce:
    return RayPool(state_folder)


def _open_inline(state_folder: Path) -> Workforce:  # noqa: ARG001 - it keeps no state
    return InlinePool()


WORKFORCES: Mapping[WorkforceKind, Callable[[Path], Workforce]] = {"ray": _open_ray, "inline": _open_inline}


def open_workforce(kind: WorkforceKind, state_folder: Path) -> Workforce:
    """Returns a workforce; what it must keep (Ray's token) goes into `state_folder`."""
    return WORKFORCES[kind](state_folder)
