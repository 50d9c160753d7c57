"""Reading terms: what a model's card and the Hub say of its licence.  Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from search_spaces import Parent
from search_spaces.recipes.parent import is_path
from workers.checkpoints.hub.parent_files import description_folder, local_folder
from workers.checkpoints.tensor_table import read_json
from workers.compatibility.licences.verdict import OTHER, ParentTerms
from workers.compatibility.model_cards import CARD_FILE, LONGEST, front_matter
from workers.errors import WorkerError


def terms_of(parents: Iterable[Parent], *, ask_hub: bool = True) -> tuple[ParentTerms, ...]:
    """Returns the terms of models and of their adapters, each once; what cannot be read is not known.

    Args:
        parents: The models.
        ask_hub: Whether the Hub is asked which of its models are gated.
    """
    every: dict[Parent, None] = {}
    for parent in parents:
        every[parent.without_adapter] = None
        if parent.adapter_as_parent is not None:
            every[parent.adapter_as_parent] = None
    return tuple(_terms(parent, ask_hub=ask_hub) for parent in every)


def _terms(parent: Parent, *, ask_hub: bool) -> ParentTerms:
    card, config = _descriptions(parent)
    link = card.get("license_link")
    return ParentTerms(
        parent=Path(parent.model).name if is_path(parent.model) else parent.model,
        licence=_licence(card, config),
        link=link[:LONGEST] if isinstance(link, str) and link.startswith("https://") else None,
        gated=_gated(parent) if ask_hub else None,
        languages=_texts(card.get("language")),
        datasets=_texts(card.get("datasets")),
    )


def _descriptions(parent: Parent) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Returns the head of a model's README, and its configuration; empty where there is none."""
    folder = description_folder(parent, CARD_FILE)
    text = (folder / CARD_FILE).read_text(encoding="utf-8", errors="replace") if folder is not None else None
    place = folder or description_folder(parent, "config.json")
    path = place / "config.json" if place is not None else None
    try:
        config = read_json(path) if path is not None and path.is_file() else {}
    except WorkerError:
        config = {}
    return front_matter(text), config


def _licence(card: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Returns the identifier; the name that goes with `other`."""
    given = card.get("license") or config.get("license")
    if isinstance(given, list):
        given = given[0] if len(given) == 1 else ", ".join(map(str, given))
    if str(given).lower() == OTHER:
        given = card.get("license_name") or OTHER
    return str(given)[:LONGEST].lower() if given else None


def _gated(parent: Parent) -> bool | None:
    """Asks the Hub; a folder is not gated."""
    try:
        if local_folder(parent) is not None:
            return False
        from workers.checkpoints.hub.client import is_gated  # slow to import

        return is_gated(parent)
    except (WorkerError, OSError, RuntimeError, ValueError):
        return None


def _texts(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(item[:LONGEST] for item in listed if isinstance(item, str) and item)
