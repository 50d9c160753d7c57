"""Engines: what continues a network's prompts in its stead.

The merging side sets it; the asking side need not know.  Log-likelihoods are always the network's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel

from evaluators.inference.prompts import Generated, Prompt


class Engine(Protocol):
    """Continues prompts greedily, with the weights that a network has now."""

    def continued(self, network: PreTrainedModel, prompts: Mapping[int, Prompt]) -> dict[int, Generated]:
        """Returns each prompt's continuation by its number.

        Raises:
            BadScoreError: Logits are NaN.
        """
        ...


_ENGINES: WeakKeyDictionary[PreTrainedModel, Engine] = WeakKeyDictionary()


def answer_with(network: PreTrainedModel, engine: Engine) -> None:
    """Has an engine continue the prompts that are put to a network greedily, from now on."""
    _ENGINES[network] = engine


def engine_of(network: PreTrainedModel) -> Engine | None:
    """Returns the engine that continues a network's prompts; None where it does so itself."""
    return _ENGINES.get(network)
