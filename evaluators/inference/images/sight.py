"""Sight: how a network sees.  The merging side sets it; the asking side need not know how it came about."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel

from evaluators.inference.images.seen_prompts import SeenPrompts
from evaluators.inference.images.vision_features import VisionFeatures


class Sight:
    """What prepares images for the networks of one checkpoint, and what their vision towers made of them.

    Attributes:
        eyes: Equal eyes are equal vision towers and projectors; None: they may have changed.
        features: What was seen with them.
        prompts: What was prepared.
    """

    def __init__(self, load: Callable[[], Any], config: Callable[[], Any]) -> None:
        """Loads nothing yet.

        Args:
            load: Returns the checkpoint's processor.
            config: Returns its configuration, as transformers reads it.
        """
        self._load, self._read = load, config
        self.eyes: Hashable = None
        self.features = VisionFeatures()
        self.prompts = SeenPrompts()

    @cached_property
    def processor(self) -> Any:  # noqa: ANN401 - transformers' ProcessorMixin
        """The processor; loaded when the first image comes."""
        return self._load()

    @cached_property
    def model_type(self) -> str:
        """The architecture."""
        return str(self._read().model_type)

    @cached_property
    def image_token(self) -> str | None:
        """The token that stands where an image does; None where the configuration names none."""
        config = self._read()
        number = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)
        return None if number is None else str(self.processor.tokenizer.decode([number]))


_SIGHTS: WeakKeyDictionary[PreTrainedModel, Sight] = WeakKeyDictionary()


def see_with(network: PreTrainedModel, sight: Sight) -> None:
    """Says how a network sees, from now on."""
    _SIGHTS[network] = sight


def sight_of(network: PreTrainedModel) -> Sight | None:
    """Returns how a network sees; None where that was not said."""
    return _SIGHTS.get(network)
