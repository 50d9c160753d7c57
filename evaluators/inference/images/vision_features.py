"""What a vision tower makes of images: kept for as long as tower and projector stay the same."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from evaluators.inference.images.seen_prompts import SeenPrompt

_MOST_BYTES = 2 << 30  # of features that are kept
_PIXELS = "pixel_values"


@dataclass(slots=True)
class ImageFeatures:
    """Features by transformers' names: one tensor per image, or all images' in one.

    Attributes:
        pooler_output: What takes the places of the image's tokens.
        deepstack_features: Per layer of the language model that gets some, likewise.
    """

    pooler_output: Any
    deepstack_features: Any = None

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return sum(tensor.nbytes for tensor in _tensors((self.pooler_output, self.deepstack_features)))


class VisionFeatures:
    """The features of images, by the eyes that saw them."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[Hashable, dict[str, ImageFeatures]] = OrderedDict()
        self.seen = 0

    def inputs(
        self, network: PreTrainedModel, prompts: Sequence[SeenPrompt], eyes: Hashable
    ) -> dict[str, Any]:
        """Returns what a network is called with for these prompts' images, beside their tokens.

        Architectures that take no features made beforehand are shown the pixels.

        Args:
            network: Who sees.
            prompts: In the order of the rows; those without images have no part in it.
            eyes: As in `Sight`.
        """
        shown = [prompt for prompt in prompts if prompt.pixels]
        if not shown:
            return {}
        if not takes_features(network):
            return _pixels(network, shown, list(shown[0].pixels))
        features = _joined([self._of(network, prompt, eyes) for prompt in shown])
        sizes = [
            n
            for n, t in shown[0].pixels.items()
            if n != _PIXELS and not t.is_floating_point() and t.ndim <= 2
        ]
        return {"mm_encoder_outputs": {"image": features}, **_pixels(network, shown, sizes)}

    def _of(self, network: PreTrainedModel, prompt: SeenPrompt, eyes: Hashable) -> ImageFeatures:
        known = self._kept.get(eyes, {}) if eyes is not None else {}
        if prompt.key not in known:
            found = self._see(network, prompt)
            if eyes is not None and self._has_room(found.bytes, eyes):
                self._kept.setdefault(eyes, {})[prompt.key] = found
                self._bytes += found.bytes
            return found
        self._kept.move_to_end(eyes)
        return known[prompt.key]

    def _see(self, network: PreTrainedModel, prompt: SeenPrompt) -> ImageFeatures:
        self.seen += 1
        encode: Any = network.base_model.get_image_features
        names = [name for name in inspect.signature(encode).parameters if name in prompt.pixels]
        found = encode(**_pixels(network, [prompt], names), return_dict=True)
        return ImageFeatures(found.pooler_output, getattr(found, "deepstack_features", None))

    def _has_room(self, size: int, eyes: Hashable) -> bool:
        """Makes room by forgetting what other eyes saw, the longest unused first."""
        while self._bytes + size > self._most and next(iter(self._kept), eyes) != eyes:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= sum(features.bytes for features in forgotten.values())
        return self._bytes + size <= self._most


def takes_features(network: PreTrainedModel) -> bool:
    """Says whether a network can be given features instead of pixels."""
    able = hasattr(network.base_model, "get_image_features")
    return able and "mm_encoder_outputs" in inspect.signature(network.forward).parameters


def _pixels(
    network: PreTrainedModel, prompts: Sequence[SeenPrompt], names: Sequence[str]
) -> dict[str, Tensor]:
    """Returns the prompts' pixels, one after the other, where the network lies and in its format."""
    found = {}
    for name in names:
        joined = torch.cat([prompt.pixels[name] for prompt in prompts])
        dtype = network.dtype if joined.is_floating_point() else joined.dtype
        found[name] = joined.to(network.device, dtype)
    return found


def _joined(found: Sequence[ImageFeatures]) -> ImageFeatures:
    layers = [one.deepstack_features for one in found]
    deep = None if layers[0] is None else [_one(parts) for parts in zip(*layers, strict=True)]
    return ImageFeatures(_one([one.pooler_output for one in found]), deep)


def _one(parts: Sequence[Any]) -> Any:  # noqa: ANN401 - as the architecture has it
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return [tensor for part in parts for tensor in part]


def _tensors(value: Any) -> list[Tensor]:  # noqa: ANN401 - nested lists of tensors
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value or () for tensor in _tensors(part)]
