"""How a checkpoint's models see: its processor, as transformers loads it when the first image comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoProcessor

from evaluators.inference.images.sight import Sight
from workers.checkpoints.architecture.meta_model import read_configuration
from workers.checkpoints.layout import has_senses
from workers.errors import PreparationError


def sight_for(folder: Path, config: Mapping[str, Any]) -> Sight | None:
    """Returns how models with a checkpoint's configuration see; None where it is a language model."""
    if not has_senses(config):
        return None
    return Sight(partial(_load_processor, folder), partial(read_configuration, config))


def _load_processor(folder: Path) -> Any:  # noqa: ANN401 - transformers
    """Returns what prepares images and prompts of a checkpoint.

    Raises:
        PreparationError: It cannot be loaded, or prepares no images.
    """
    try:
        found = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        remedy = "add its files (preprocessor_config.json, processor_config.json) to the folder"
        if find_spec("torchvision") is None:
            remedy += ", or install torchvision, which some processors need"
        raise PreparationError(str(folder), f"its processor cannot be loaded ({said})", remedy) from error
    if not hasattr(found, "image_processor"):
        remedy = "add preprocessor_config.json and processor_config.json to the folder"
        raise PreparationError(str(folder), "has no processor of images", remedy)
    return found
