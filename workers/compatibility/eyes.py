"""Whether a model can be given another one's vision tower and projector.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.checkpoints.layout import Layout, has_senses, language_config
from workers.checkpoints.tensor_table import read_json
from workers.compatibility.network_settings import HARMLESS
from workers.errors import MismatchError

PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_TRIFLES = HARMLESS | {"image_token_index", "vocab_size", "tie_word_embeddings"}


def sees(layout: Layout) -> bool:
    """Says whether a checkpoint holds more than a language model."""
    return has_senses(layout.config)


def check_eyes(eyes: Layout, owner: Layout) -> None:
    """Refuses a vision tower that a model with the owner's configuration cannot take over.

    Raises:
        MismatchError: One of the two has none, or they differ in more than weights.
    """
    for layout in (eyes, owner):
        if not sees(layout):
            remedy = "name a parent that sees, for vision and for the tokenizer"
            raise MismatchError(str(layout.parent), "has no vision tower", remedy)
    mine, theirs = _beside_language(eyes.config), _beside_language(owner.config)
    for key in sorted(mine.keys() | theirs.keys()):
        if mine.get(key) != theirs.get(key):
            detail = f"{_where(key, mine.get(key), theirs.get(key))} differs from that of {owner.parent}"
            raise MismatchError(str(eyes.parent), detail, "take the vision tower of a model of one family")
    if _processors(eyes) != _processors(owner):
        detail = f"prepares images otherwise than {owner.parent} ({' or '.join(PROCESSOR_FILES[:2])})"
        remedy = "make it the tokenizer's owner too, or take another vision tower"
        raise MismatchError(str(eyes.parent), detail, remedy)


def _beside_language(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a configuration says of all but the language model."""
    text = language_config(config)
    found = {key: value for key, value in config.items() if value is not text and key not in _TRIFLES}
    if text is config:  # flat: what is no mapping may be the language model's
        found = {key: value for key, value in found.items() if isinstance(value, Mapping)}
    return {key: _told(value) for key, value in found.items()}


def _told(value: Any) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, Mapping):
        return value
    return {key: _told(inner) for key, inner in value.items() if key not in _TRIFLES}


def _where(key: str, mine: object, theirs: object) -> str:
    if not isinstance(mine, Mapping) or not isinstance(theirs, Mapping):
        return key
    inner = next(name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name))
    return f"{key}.{inner}"


def _processors(layout: Layout) -> dict[str, Any]:
    """Returns what a checkpoint's files say of how images are prepared, in whichever file they say it."""
    found: dict[str, Any] = {}
    for name in PROCESSOR_FILES:
        path = layout.folder / name
        content = dict(read_json(path)) if path.is_file() else {}
        found |= content.pop("image_processor", None) or {}
        found |= {key: value for key, value in content.items() if key != "processor_class"}
    return found
