"""Number formats by their names: in safetensors files, and in torch and configurations.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping

TORCH_NAMES: Mapping[str, str] = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
SAFETENSORS_NAMES: Mapping[str, str] = {name: short for short, name in TORCH_NAMES.items()}
