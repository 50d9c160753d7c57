"""A network whose parameters can be looked at, and what its tensors are called in the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoTokenizer
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import logging

from workers.checkpoints.architecture.configuration import own_dtype
from workers.checkpoints.layout import Layout
from workers.checkpoints.parents import CheckpointReader
from workers.errors import CheckpointError, PreparationError, WorkerError

_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len")


@dataclass(frozen=True, slots=True)
class OpenNetwork:
    """A model in memory, in evaluation mode, with gradients off.

    Attributes:
        model: The transformers model.
        longest: How many tokens it can read, where its configuration says so.
    """

    layout: Layout
    model: Any
    tokenizer: Any
    device: torch.device

    @property
    def longest(self) -> int | None:
        """How many tokens it can read at most."""
        config = self.model.config
        found = (getattr(config, key, None) for key in _LENGTHS)
        return next((length for length in found if isinstance(length, int) and length > 0), None)

    def parameters(self) -> dict[str, Tensor]:
        """Returns the network's own parameters by name; tied ones once."""
        return dict(self.model.named_parameters())

    def in_checkpoint(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns tensors that have the names and shapes of parameters as the checkpoint stores them.

        transformers keeps the experts of a layer in one tensor; checkpoints have one per expert.

        Raises:
            CheckpointError: The checkpoint has no such tensor.
        """
        stored = revert_weight_conversion(self.model, dict(tensors))
        return {self.name_in_checkpoint(name): tensor for name, tensor in stored.items()}

    def name_in_checkpoint(self, name: str) -> str:
        """Returns the name of a tensor, which may lack the prefix of the model with a head.

        Raises:
            CheckpointError: The checkpoint has no such tensor.
        """
        prefix = f"{self.model.base_model_prefix}."
        for candidate in (name, name.removeprefix(prefix), prefix + name):
            if candidate in self.layout.tensors:
                return candidate
        raise CheckpointError(
            str(self.layout.parent), f"has no tensor {name!r}", "save the model again with save_pretrained"
        )


def working_dtype(layout: Layout, device: torch.device) -> torch.dtype:
    """Returns the precision to take gradients in: bfloat16 where a GPU has it, float32 otherwise.

    In float16 the gradients of single entries vanish.
    """
    own: torch.dtype = getattr(torch, own_dtype(layout))
    return own if own == torch.bfloat16 and device.type == "cuda" else torch.float32


def open_network(layout: Layout, device: torch.device, dtype: torch.dtype | None = None) -> OpenNetwork:
    """Builds a parent's network with its weights; `dtype` None takes the checkpoint's own.

    Raises:
        WorkerError: Its architecture is unknown, or its weights or tokenizer are not all there.
    """
    own: torch.dtype = getattr(torch, own_dtype(layout))
    with CheckpointReader({layout.parent: layout}) as reader:
        weights = {name: reader.read(layout.parent, name) for name in layout.tensors}
        model = _model(layout, weights, dtype or own)
    model = model.to(device).requires_grad_(False).eval()
    return OpenNetwork(layout, model, _tokenizer(layout), device)


def _model(layout: Layout, weights: Mapping[str, Tensor], dtype: torch.dtype) -> Any:  # noqa: ANN401
    try:
        config = AutoConfig.from_pretrained(layout.folder, local_files_only=True, trust_remote_code=False)
        network: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        with _no_bars():
            model, report = network.from_pretrained(
                None, config=config, state_dict=dict(weights), dtype=dtype, output_loading_info=True
            )
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PreparationError(
            str(layout.parent), f"transformers cannot load it ({cause})", "use a causal language model"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        detail = f"lacks {len(missing)} tensors of its network, such as {missing[0]!r}"
        raise CheckpointError(str(layout.parent), detail, "save the model again")
    return model


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keeps transformers from drawing progress bars across ours."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _tokenizer(layout: Layout) -> Any:  # noqa: ANN401
    try:
        return AutoTokenizer.from_pretrained(layout.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WorkerError(
            str(layout.parent), f"its tokenizer cannot be loaded ({cause})", "add the tokenizer's files"
        ) from error
