"""Where in a spec an objective's field stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.experiment.chat_options import in_full
from service.specification.reading import pointer_to


def objectives_pointer(raw: Mapping[str, Any], place: int, field: str) -> str:
    """Returns the pointer to a field that a worker refused: what an objective leaves out stands for all.

    Args:
        raw: The spec.
        place: Of the objective.
        field: As evaluators call it, with dots (`chat.template`).
    """
    if field == "include_path":
        return "/tasks_path"
    own, parts = raw["objectives"][place], field.split(".")
    chat = in_full(own.get("chat"))
    if parts[0] == "chat" and not (isinstance(chat, dict) and parts[-1] in (*chat, "chat")):
        return pointer_to(*parts) if "chat" in raw else pointer_to("objectives", place)
    if parts[0] == "generation" and parts[-1] not in (own.get("generation") or ()):
        shared = parts[-1] in (raw.get("generation") or ())
        return pointer_to(*parts) if shared else pointer_to("objectives", place)
    return pointer_to("objectives", place, *parts)
