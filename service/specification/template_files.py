"""The files of chat templates that a spec names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.experiment.chat_options import is_file_name


def with_template_files(content: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """Returns a spec whose templates' files, its objectives' among them, stand where `place` says."""
    found = _placed(content, place)
    if isinstance(objectives := found.get("objectives"), list):
        found["objectives"] = [
            _placed(item, place) if isinstance(item, Mapping) else item for item in objectives
        ]
    return found


def _placed(part: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    chat = part.get("chat")
    name = chat.get("template") if isinstance(chat, dict) else None
    if not isinstance(chat, dict) or not isinstance(name, str) or not is_file_name(name):
        return dict(part)
    return dict(part) | {"chat": chat | {"template": place(name)}}
