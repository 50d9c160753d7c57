"""A checkpoint's tokenizer, as transformers loads it."""

from __future__ import annotations

import copy
from typing import Any

from transformers import AutoTokenizer

from workers.checkpoints.layout import Layout
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


def with_template(tokenizer: Any, template: str | None) -> Any:  # noqa: ANN401
    """Returns the tokenizer with another chat template; None keeps its own."""
    if template is None:
        return tokenizer
    other = copy.copy(tokenizer)
    other.chat_template = template
    return other
