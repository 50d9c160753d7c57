"""Conversations about images, as processors' chat templates read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluators.inference.images.seen_prompts import PLACEHOLDER


def with_parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message with its text in parts, and images where the text says `<image>`."""
    texts = str(message["content"]).split(PLACEHOLDER)
    parts: list[dict[str, str]] = []
    for number, text in enumerate(texts):
        parts += [{"type": "image"}] if number else []
        parts += [{"type": "text", "text": text}] if text else []
    return {**message, "content": parts}
