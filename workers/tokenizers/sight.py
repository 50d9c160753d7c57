"""How a checkpoint's models see: its processor, as transformers loads it when the first image comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor

from evaluators.errors import EvaluationError
from evaluators.inference.images.sight import Sight
from workers.checkpoints.architecture.meta_model import read_configuration
from workers.checkpoints.layout import has_senses

_FIELD = "task"
_FILES = "preprocessor_config.json, processor_config.json"
_PACKAGE = re.compile(r"requires the (?P<name>\w+) library")  # as transformers says it
_BUILD = f"in the build that belongs to torch {torch.__version__}"


def sight_for(folder: Path, config: Mapping[str, Any]) -> Sight | None:
    """Returns how models with a checkpoint's configuration see; None where it is a language model."""
    if not has_senses(config):
        return None
    return Sight(partial(_load_processor, folder), partial(read_configuration, config))


def _load_processor(folder: Path) -> Any:  # noqa: ANN401 - transformers
    """Returns what prepares images and prompts of a checkpoint.

    Raises:
        EvaluationError: It cannot be loaded, or prepares no images.
    """
    try:
        found = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError, RuntimeError) as error:
        raise _explained(folder, error) from error
    if not hasattr(found, "image_processor"):
        raise EvaluationError(_FIELD, f"{folder} has no processor of images", f"add {_FILES} to the folder")
    return found


def _explained(folder: Path, error: Exception) -> EvaluationError:
    """Returns what is missing: a package, its build for this torch, or the processor's files."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    needed = _PACKAGE.search(str(error))
    if needed is not None and needed["name"].lower() not in ("pytorch", "the"):
        package = needed["name"].lower()
        detail = f"the image processor of {folder} needs {package}, which is not installed"
        return EvaluationError(_FIELD, detail, f"pip install {package}, {_BUILD}")
    if "torchvision" in said and find_spec("torchvision") is not None:
        detail = f"torchvision, which the image processor of {folder} needs, does not go with torch ({said})"
        return EvaluationError(_FIELD, detail, f"install torchvision again, {_BUILD}")
    detail = f"the image processor of {folder} cannot be loaded: {said}"
    return EvaluationError(_FIELD, detail, f"add its files ({_FILES}) to the folder")
