"""Whether transformers would load a checkpoint whole, found from names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers.utils import logging

from workers.checkpoints.architecture.meta_model import meta_model
from workers.errors import MismatchError

_REMEDY = (
    "use parents whose files and config.json are as transformers saves them, or keep all layers in place"
)


def check_loadable(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses a checkpoint that transformers would not load whole: nothing is read, nothing computed.

    Args:
        config: The contents of its config.json.
        shapes: Of its tensors, by name.

    Raises:
        MismatchError: A tensor of the network is missing from it, has another shape, or is one too many.
        PreparationError: The installed transformers cannot build the network.
    """
    model = meta_model(config)
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    architecture = type(model)
    try:
        with _quiet():
            _, report = architecture.from_pretrained(
                None,
                config=model.config,
                state_dict=tensors,
                device_map={"": "meta"},
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (RuntimeError, ValueError, KeyError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MismatchError(architecture.__name__, f"would not load ({cause})", _REMEDY) from error
    _check_report(architecture.__name__, report)


def _check_report(architecture: str, report: Mapping[str, Any]) -> None:
    for key, wrong in (
        ("mismatched_keys", "would have another shape than config.json promises"),
        ("missing_keys", "would be missing, so that transformers would draw it at random"),
        ("unexpected_keys", "would be left out on loading"),
    ):
        names = sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in report.get(key, ()))
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise MismatchError(architecture, f"{names[0]}{more} {wrong}", _REMEDY)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from reporting what is reported here."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
