"""Prompts with images, as a network reads them: tokens, and what its vision tower is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from evaluators.errors import EvaluationError

if TYPE_CHECKING:
    from evaluators.inference.images.sight import Sight

PLACEHOLDER = "<image>"  # in lm-eval's prompts, and here
_MOST_BYTES = 4 << 30  # of pixels that are kept
_TEXTS = ("input_ids", "attention_mask")
_OF_TOKENS = "token_type_ids"  # a shape of pixels may be as long as a short prompt


@dataclass(frozen=True, slots=True, eq=False)
class SeenPrompt:
    """One prompt and its images.

    Attributes:
        tokens: With a token for every part of an image.
        marks: What else is said of each token (`mm_token_type_ids`).
        pixels: What the vision tower is shown, and shapes of it; the images of a prompt lie along the
            first dimension.
        key: Equal keys are equal pixels.
    """

    tokens: tuple[int, ...]
    marks: Mapping[str, tuple[int, ...]]
    pixels: Mapping[str, Tensor]
    key: str


class SeenPrompts:
    """Prompts that were prepared already, as far as they fit; prompts about the same images share pixels."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._room = most_bytes
        self._known: dict[tuple[str, str], SeenPrompt] = {}
        self._pixels: dict[str, Mapping[str, Tensor]] = {}

    def get(self, text: str, key: str) -> SeenPrompt | None:
        """Returns the prompt with this text and images of this key; None where it is new."""
        return self._known.get((text, key))

    def keep(self, text: str, prompt: SeenPrompt) -> SeenPrompt:
        """Returns the prompt, which is known from now on if there is room."""
        if prompt.key not in self._pixels:
            size = sum(tensor.nbytes for tensor in prompt.pixels.values())
            if size > self._room:
                return prompt
            self._room -= size
            self._pixels[prompt.key] = prompt.pixels
        kept = replace(prompt, pixels=self._pixels[prompt.key])
        self._known[text, prompt.key] = kept
        return kept


def image_digest(image: Any) -> str:  # noqa: ANN401 - an image of PIL's
    """Returns the SHA-256 of an image's pixels and mode."""
    palette = image.getpalette() if image.mode == "P" else None
    head = f"{image.mode} {image.size} {palette} ".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()


def is_image(value: object) -> bool:
    """Says whether a value is an image of PIL's."""
    return all(hasattr(value, name) for name in ("tobytes", "mode", "size", "getpalette"))


def see(sight: Sight, text: str, images: Sequence[Any]) -> SeenPrompt:
    """Prepares a prompt as lm-eval's `hf-multimodal` does: by the processor, with its own special tokens.

    Raises:
        EvaluationError: The processor refuses it, in most cases because text and images do not match.
    """
    places = text.count(PLACEHOLDER)
    if sight.image_token is not None:
        text = text.replace(PLACEHOLDER, sight.image_token)
    key = " ".join(map(image_digest, images))
    if (known := sight.prompts.get(text, key)) is not None:
        return known
    nested = list(images) if sight.model_type == "llava" else [list(images)]
    try:
        found = sight.processor(text=[text], images=nested if images else None, return_tensors="pt")
    except (ValueError, TypeError, IndexError, KeyError, StopIteration, AttributeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        detail = f"the processor refuses a prompt with {len(images)} images and {places} times {PLACEHOLDER}"
        remedy = f"write {PLACEHOLDER} once per image in doc_to_text, and see whether the template keeps it"
        raise EvaluationError("task", f"{detail}: {said}", remedy) from error
    length = found["input_ids"].shape[1]
    marks, pixels = {}, {}
    for name, value in found.items():
        if name not in _TEXTS and isinstance(value, Tensor):
            if name.endswith(_OF_TOKENS) and tuple(value.shape) == (1, length):
                marks[name] = tuple(value[0].tolist())
            else:
                pixels[name] = value
    return sight.prompts.keep(text, SeenPrompt(tuple(found["input_ids"][0].tolist()), marks, pixels, key))
