"""Networks whose attention windows do not cut anything off."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from transformers import AutoModelForCausalLM


def wide(network: Any) -> Any:
    """Returns the network with windows that hold all its tokens."""
    config = deepcopy(network.config)
    config.sliding_window = 64
    twin = AutoModelForCausalLM.from_config(config).float().eval()
    twin.load_state_dict(network.state_dict())
    return twin
