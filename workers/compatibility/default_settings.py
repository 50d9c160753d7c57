"""Asks another process what transformers makes of configurations.  Torch-free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

_PROGRAM = "workers.compatibility.transformers_settings"
_PATIENCE = 180.0  # seconds; importing transformers takes one to ten

Settings = Mapping[str, Any]


def as_transformers_reads(configs: Sequence[Mapping[str, Any]]) -> list[Settings | None]:
    """Returns the settings that each config.json gives, defaults included; None where they are not known.

    They are not known where transformers is not installed, as in the controller's image, or where it
    does not know the architecture.
    """
    asked = json.dumps(list(configs), sort_keys=True, default=str)
    return list(_answer(asked)) or [None] * len(configs)


@lru_cache(maxsize=64)
def _answer(asked: str) -> tuple[Settings | None, ...]:
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    try:
        found = subprocess.run(  # noqa: S603 - our own module, by our own interpreter
            [sys.executable, "-m", _PROGRAM],
            input=asked,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            check=False,
        )
        return tuple(json.loads(found.stdout)) if found.returncode == 0 else ()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()
