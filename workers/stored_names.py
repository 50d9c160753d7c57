"""Where the tensors of a saved checkpoint lie in a network that keeps them under other names.

transformers saves some weights apart that its modules hold as one tensor (a mixture's experts), or under
older names.  It knows how to take its own tensors apart when it saves; here it takes apart tensors
without memory, whose shapes, strides and offsets then tell where each part lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from workers.errors import PreparationError


@dataclass(frozen=True, slots=True)
class Part:
    """A saved tensor inside a network's own, which is contiguous.

    Attributes:
        place: The name of the network's tensor.
        stride: In numbers, per dimension.
        offset: Of the part's first number.
    """

    place: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    def of(self, whole: Tensor) -> Tensor:
        """Returns the part of the network's tensor, sharing its memory."""
        return whole.as_strided(self.shape, self.stride, self.offset)


class _Uncopied(Tensor):
    """A tensor that stays a view of another when a contiguous one is asked for."""

    def contiguous(self, *_: object, **__: object) -> _Uncopied:
        """Returns itself."""
        return self


def stored_parts(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Part]:  # noqa: ANN401
    """Returns saved name -> part, for the tensors that are saved under other names or in parts.

    Args:
        model: A transformers model.
        shapes: Of its state dict.

    Raises:
        PreparationError: Something is saved in an arrangement that is no part of the network's tensor.
    """
    tensors = {place: _without_memory(shape) for place, shape in shapes.items()}
    saved = revert_weight_conversion(model, tensors)
    found = {}
    for place in shapes.keys() - saved.keys():
        for name, part in revert_weight_conversion(model, {place: tensors[place]}).items():
            if part.untyped_storage()._cdata != tensors[place].untyped_storage()._cdata:
                raise PreparationError(
                    name,
                    f"{type(model).__name__} keeps it in another arrangement than it is saved in",
                    "use another architecture, or merge to disk",
                )
            found[name] = Part(place, tuple(part.shape), tuple(part.stride()), int(part.storage_offset()))
    return found


def _without_memory(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, device="meta").as_subclass(_Uncopied)
