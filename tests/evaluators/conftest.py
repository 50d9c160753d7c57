"""Tiny models as an evaluator gets them: in memory, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tiny_models import ARCHITECTURES, tiny_tokenizer

Network = Any


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Network]:
    """Returns a maker of two-layer networks, spread enough for their answers to differ."""
    torch.set_num_threads(1)

    def make(seed: int = 0, architecture: str = "llama") -> Network:
        torch.manual_seed(seed)
        network = AutoModelForCausalLM.from_config(ARCHITECTURES[architecture]).float()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        return network.eval()

    return make


@pytest.fixture
def network(make_network: Callable[..., Network]) -> Network:
    return make_network()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return tiny_tokenizer()
