"""A checkpoint's tokenizer and processor, as transformers loads them."""

from __future__ import annotations

import copy
from functools import partial
from importlib.util import find_spec
from typing import Any

from transformers import AutoProcessor, AutoTokenizer

from evaluators.inference.images.sight import Sight
from workers.checkpoints.architecture.meta_model import read_configuration
from workers.checkpoints.layout import Layout, has_senses
from workers.errors import PreparationError


def load_tokenizer(owner: Layout) -> Any:  # noqa: ANN401 - transformers
    """Returns the tokenizer of a checkpoint.

    Raises:
        PreparationError: It cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(owner.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise PreparationError(
            str(owner.parent),
            f"its tokenizer cannot be loaded ({str(error).splitlines()[0]})",
            "add the tokenizer's files to the folder",
        ) from error


def load_processor(owner: Layout) -> Any:  # noqa: ANN401 - transformers
    """Returns what prepares images and prompts of a checkpoint.

    Raises:
        PreparationError: It cannot be loaded, or prepares no images.
    """
    try:
        found = AutoProcessor.from_pretrained(owner.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        remedy = "add its files (preprocessor_config.json, processor_config.json) to the folder"
        if find_spec("torchvision") is None:
            remedy += ", or install torchvision, which some processors need"
        detail = f"its processor cannot be loaded ({said})"
        raise PreparationError(str(owner.parent), detail, remedy) from error
    if not hasattr(found, "image_processor"):
        remedy = "add preprocessor_config.json and processor_config.json to the folder"
        raise PreparationError(str(owner.parent), "has no processor of images", remedy)
    return found


def sight_for(owner: Layout) -> Sight | None:
    """Returns how models with a checkpoint's configuration see; None where it is a language model."""
    if not has_senses(owner.config):
        return None
    return Sight(partial(load_processor, owner), partial(read_configuration, owner.config))


def with_template(tokenizer: Any, template: str | None) -> Any:  # noqa: ANN401
    """Returns the tokenizer with another chat template; None keeps its own."""
    if template is None:
        return tokenizer
    other = copy.copy(tokenizer)
    other.chat_template = template
    return other
