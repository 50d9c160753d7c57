"""The kinds of quantized copies: which library makes each, and what it is told.  Torch-free."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from workers.errors import ExportError


@dataclass(frozen=True, slots=True)
class QuantizedKind:
    """How weights of linear layers are stored.

    Attributes:
        library: Has to be installed; users of the copy need it too.
        words: For cards.
        configuration: Makes what transformers is told; imports the library.
    """

    library: str
    words: str
    configuration: Callable[[], Any]

    @property
    def made_by(self) -> str:
        """The library and its version."""
        return f"{self.library} {version(self.library)}"


def _int8() -> Any:  # noqa: ANN401 - transformers
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=True)


def _nf4() -> Any:  # noqa: ANN401 - transformers
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


KINDS: dict[str, QuantizedKind] = {
    "int8": QuantizedKind("bitsandbytes", "8-bit integers with a scale per row (LLM.int8)", _int8),
    "nf4": QuantizedKind("bitsandbytes", "4-bit normal floats in blocks (QLoRA)", _nf4),
}
"""By the name that users say, which the copy's name ends with."""


def check_kinds(names: Sequence[str], *, weights: bool) -> None:
    """Makes sure, before anything is merged, that copies of these kinds can be made here.

    Args:
        names: The kinds'.
        weights: Whether the export writes weights at all.

    Raises:
        ExportError: A kind is not known, its library is not installed, or there will be no weights.
    """
    if names and not weights:
        remedy = "leave the copies out, or export as a checkpoint (--format hf)"
        raise ExportError("quantize", "no weights are written that could be copied", remedy)
    for name in names:
        if name not in KINDS:
            raise ExportError("quantize", f"{name!r} is no kind of copy", f"choose of {', '.join(KINDS)}")
        library = KINDS[name].library
        if importlib.util.find_spec(library) is None:
            raise ExportError(
                "quantize",
                f"{name} copies are made by {library}, which is not installed",
                f'pip install "evomerge[quantize]" (or {library} alone) beside the worker',
            )
