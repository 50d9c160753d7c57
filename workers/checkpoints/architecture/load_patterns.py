"""Names of tensors that transformers treats specially when it loads a checkpoint.

The only module that reads private members of transformers; pyproject.toml bounds its versions.
"""

from __future__ import annotations

from typing import Any


def not_loaded(model: Any) -> tuple[str, ...]:  # noqa: ANN401 - transformers
    """Returns patterns of names that a checkpoint may have and the network does not keep."""
    return tuple(model._keys_to_ignore_on_load_unexpected or ())


def not_required(model: Any) -> tuple[str, ...]:  # noqa: ANN401 - transformers
    """Returns patterns of names that the network has and a checkpoint may lack."""
    return tuple(model._keys_to_ignore_on_load_missing or ())
