"""How much fits the memory, and what happens when it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil
import torch
from transformers import PreTrainedModel

from evaluators.allocation_failures import is_out_of_memory
from evaluators.errors import OutOfMemoryError

Result = TypeVar("Result")

# Tokens of one pass beyond which nothing is gained: matrix products are at their best, and on a CPU
# activations leave the cache.  Nearly always these bounds decide, so that batches, and with them the last
# bits of every score, do not depend on what else fills the memory.
_MOST_TOKENS = {"cpu": 2048, "cuda": 32768}
_FEWEST_TOKENS = 256
_SHARE = 4  # of the free memory, one part in so many


def tokens_that_fit(network: PreTrainedModel) -> int:
    """Returns how many tokens one pass may read: a power of two, from what is free now."""
    config = network.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    per_token = (16 * config.hidden_size + 4 * inner) * network.dtype.itemsize
    device = network.device.type
    free = (
        torch.cuda.mem_get_info(network.device)[0] if device == "cuda" else psutil.virtual_memory().available
    )
    fitting = max(int(free // _SHARE // per_token), 1)
    return max(min(1 << (fitting.bit_length() - 1), _MOST_TOKENS.get(device, 2048)), _FEWEST_TOKENS)


def slots_that_fit(network: PreTrainedModel, columns: int) -> int:
    """Returns how many rows of so many positions may keep their keys and values: a power of two."""
    config = network.config.get_text_config()
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    per_slot = 2 * config.num_hidden_layers * key_heads * size * columns * network.dtype.itemsize
    fitting = max(int(_free(network) // _SHARE // per_slot), 1)
    return 1 << (fitting.bit_length() - 1)


def copy_fits(network: PreTrainedModel, size: int) -> bool:
    """Says whether so many bytes may be taken for as long as the network is asked."""
    return size <= _free(network) // _SHARE


def run_unless_out_of_memory(run: Callable[[], Result], *, rows: int) -> Result | None:
    """Runs a pass; returns None if memory ran out, so that it must be run in two halves.

    Args:
        run: The pass.
        rows: How many rows it reads; a single one cannot be halved.

    Raises:
        OutOfMemoryError: A single row does not fit.
    """
    try:
        return run()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        cause = (str(error).splitlines() or [type(error).__name__])[0]
    # Here the exception, and with it the frames that hold the tensors, is gone.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if rows == 1:
        raise OutOfMemoryError(
            "memory",
            f"one row alone does not fit ({cause})",
            "give the worker more memory, or choose shorter prompts",
        )
    return None


def _free(network: PreTrainedModel) -> int:
    if network.device.type == "cuda":
        return int(torch.cuda.mem_get_info(network.device)[0])
    return int(psutil.virtual_memory().available)
