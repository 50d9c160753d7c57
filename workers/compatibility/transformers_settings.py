"""Reads configurations as transformers does, defaults included: a program of its own.

The controller runs without transformers, and a preflight should not wait for it; so it is asked for in
another process, and only where two configurations do not give the same settings.

    echo '[{"model_type": "llama"}]' | python -m workers.compatibility.transformers_settings

Writes one entry per configuration: its settings with defaults, for the language model alone, and without
what the architecture does not know; null where transformers cannot read it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from typing import Any

_NOT_ARGUMENTS = ("model_type", "torch_dtype", "dtype", "transformers_version", "architectures")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what transformers makes of the contents of a config.json; None where it makes nothing."""
    from transformers import AutoConfig  # after torch is hidden, where this is the program

    given = {key: value for key, value in config.items() if key not in _NOT_ARGUMENTS}
    try:
        read = AutoConfig.for_model(config["model_type"], **given)
        text = read.get_text_config()
        known = type(text)().to_dict().keys()
    except Exception:  # noqa: BLE001 - whatever a configuration of strangers makes transformers say
        return None
    return {key: value for key, value in text.to_dict().items() if key in known}


def main() -> None:
    """Answers one list of configurations; without torch, whose import takes most of the time."""
    find = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == "torch" else find(name, package)
    asked = json.load(sys.stdin)
    json.dump([settings_of(config) for config in asked], sys.stdout, default=str)


if __name__ == "__main__":
    main()
