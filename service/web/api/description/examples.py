"""Examples that the interface's description shows."""

from __future__ import annotations

from typing import Any

SPEC_EXAMPLE: dict[str, Any] = {
    "name": "skills",
    "parents": ["/models/arithmetic-expert", "/models/language-expert"],
    "base": "/models/base",
    "space": {"kind": "parameter", "method": "task_arithmetic", "layer_groups": 4},
    "objectives": [{"task": "arithmetic_z"}, {"task": "translation"}],
    "tasks_path": "/tasks",
    "optimizer": {"algorithm": "cma_es"},
    "budget": {"candidates": 200},
    "seed": 1,
}
