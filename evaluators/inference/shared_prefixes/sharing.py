"""Which networks may read trees and shared beginnings, and what reading costs them.

A network that may not is asked row by row, which every network can be; the reason is kept, so that it
can be told.  Nothing is tried out: the architectures below are those that tests compare with lm-eval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel

from evaluators.inference.shared_prefixes.token_tree import Exchange

# They take four-dimensional masks and explicit positions, and each token's output depends on nothing
# but the tokens that it sees.
ARCHITECTURES = frozenset(
    {
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "gpt_neox",
        "llama",
        "mistral",
        "mixtral",
        "olmo2",
        "phi3",
        "qwen2",
        "qwen2_moe",
        "qwen3",
        "qwen3_moe",
    }
)
_ATTENTION = ("sdpa", "eager")  # flash attention knows causal masks only
_GROWING_ROPE = ("dynamic", "longrope")  # angles follow from the longest row of a batch
_LAUNCH = {"cpu": 32, "cuda": 512}  # tokens read in the time that one more forward pass takes

# Networks that were looked through: their weights may change, their layers do not.
_KNOWN: WeakKeyDictionary[PreTrainedModel, int | None] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a network's rows may share what they have in common.

    Attributes:
        exchange: The prices by which rows are arranged.
        window: Rows up to this length may share; None for any.  (A sliding window that is shorter than
            a row hides tokens from one another which are close in the tree's line.)
    """

    exchange: Exchange
    window: int | None = None


def sharing_of(network: PreTrainedModel) -> Sharing | str:
    """Returns how a network shares, or why it does not."""
    config = network.config.get_text_config()
    kinds = _kinds_of_rope(getattr(config, "rope_parameters", None) or {})
    attention = getattr(config, "_attn_implementation", None)
    kind = network.config.model_type  # of the whole: a language model inside another is asked differently
    if kind not in ARCHITECTURES:
        return f"architecture {kind} is not known to read trees"
    if attention not in _ATTENTION:
        return f"attention {attention} takes no masks of its own"
    if kinds & set(_GROWING_ROPE):
        return f"positions of kind {min(kinds & set(_GROWING_ROPE))} depend on the batch"
    if (number := _number_of_two_layers(network)) is not None:
        return f"two layers write into place {number} of the key-value cache"
    windows = [getattr(config, "sliding_window", None)]
    launch = _LAUNCH.get(network.device.type, _LAUNCH["cuda"])
    return Sharing(
        Exchange(attended=6 * config.hidden_size, launch=launch), min((w for w in windows if w), default=None)
    )


def _kinds_of_rope(parameters: Mapping[str, Any]) -> set[str]:
    """Returns the kinds of positions of all layer types."""
    nested = [one for one in parameters.values() if isinstance(one, Mapping)]
    return {str(one.get("rope_type")) for one in (parameters, *nested)}


def _number_of_two_layers(network: PreTrainedModel) -> int | None:
    """Returns the place in the cache that two attention layers would share, if there is one."""
    if network not in _KNOWN:
        _KNOWN[network] = _find_number_of_two_layers(network)
    return _KNOWN[network]


def _find_number_of_two_layers(network: PreTrainedModel) -> int | None:
    indices = Counter(
        module.layer_idx
        for name, module in network.named_modules()
        if name.endswith(("attn", "attention")) and isinstance(getattr(module, "layer_idx", None), int)
    )
    return next((index for index, count in sorted(indices.items()) if count > 1), None)
