"""A transformers network on the meta device: the tensors that a configuration promises, without memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
import transformers
from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig
from transformers.initialization import no_init_weights

from workers.errors import PreparationError

# Tried in this order where a configuration does not name its class.
AUTO_CLASSES = {
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "AutoModelForImageTextToText": "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "AutoModelForSeq2SeqLM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "AutoModel": "MODEL_MAPPING",
}
# What describes how weights are stored is no matter of the network's shape.
_NOT_SHAPE = ("torch_dtype", "dtype")


def read_configuration(config: Mapping[str, Any]) -> Any:  # noqa: ANN401 - transformers
    """Returns the transformers configuration that the contents of a config.json describe.

    Raises:
        PreparationError: The installed transformers knows no such architecture, or refuses the values.
    """
    known = {key: value for key, value in config.items() if key not in _NOT_SHAPE}
    try:
        if "model_type" not in known:  # would be guessed from the folder's name
            raise KeyError("model_type")
        with TemporaryDirectory() as folder:
            # From a file, as everybody will load it: infinite numbers and old names are read there alone.
            (Path(folder) / "config.json").write_text(json.dumps(known), encoding="utf-8")
            read = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (KeyError, TypeError, ValueError, AttributeError, OSError, StrictDataclassError) as error:
        raise PreparationError(
            "model_type",
            f"{config.get('model_type')!r} is no architecture of transformers {transformers.__version__}, "
            f"or its configuration is not read ({error})",
            "install a newer transformers, or use other parents",
        ) from error
    read.name_or_path = ""
    return read


def meta_model(config: Mapping[str, Any]) -> Any:  # noqa: ANN401 - transformers
    """Returns the network of a configuration with every parameter and buffer on the meta device.

    The class is the one that the configuration's `architectures` names, as `from_pretrained` of that
    class would build it; otherwise the first automatic class that has the architecture.

    Raises:
        PreparationError: The installed transformers cannot build the network.
    """
    read = read_configuration(config)
    drawing_nothing: AbstractContextManager[None] = no_init_weights()
    try:
        with torch.device("meta"), drawing_nothing, init_empty_weights(include_buffers=True):
            model = _built(read, config)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, PreparationError):
            raise
        raise PreparationError(
            "config.json", f"transformers cannot build its network ({error})", "correct config.json"
        ) from error
    model.tie_weights()
    return model.requires_grad_(False).eval()


def _built(read: Any, config: Mapping[str, Any]) -> Any:  # noqa: ANN401 - transformers
    for name in config.get("architectures") or ():
        named: Any = getattr(transformers, str(name), None)
        if isinstance(named, type) and issubclass(named, transformers.PreTrainedModel):
            takes = isinstance(read, cast("type", named.config_class))
            return named(read if takes else read.get_text_config(decoder=True))
    for name, mapping in AUTO_CLASSES.items():
        if type(read) in getattr(transformers, mapping):
            return getattr(transformers, name).from_config(read, trust_remote_code=False)
    raise PreparationError(
        "model_type",
        f"transformers {transformers.__version__} has no language model for {config.get('model_type')!r}",
        "use a model whose architecture is part of transformers",
    )
