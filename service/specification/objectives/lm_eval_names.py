"""lm-eval's own names of settings, taken for ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import yaml

from service.errors import Mistake
from service.experiment.chat_options import Words, in_full
from service.specification.reading import pointer_to

ALIASES: Mapping[str, str] = {
    "apply_chat_template": "apply",
    "system_instruction": "system",
    "fewshot_as_multiturn": "fewshot_as_multiturn",
    "enable_thinking": "thinking",
    "think_end_token": "think_end",
    "chat_template_args": "template_options",
    "gen_prefix": "gen_prefix",
}
"""What lm-eval calls it -> what it is called in `chat`."""


_OWN = {"gen_kwargs": "generation"}


def with_own_names(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a spec with what it and its objectives say in lm-eval's names under our own.

    A setting that is given under both names stays, and is refused as unknown.
    """
    content = _translated(raw)
    if isinstance(objectives := content.get("objectives"), list):
        content["objectives"] = [
            _translated(item) if isinstance(item, Mapping) else item for item in objectives
        ]
    return content


def _translated(part: Mapping[str, Any]) -> dict[str, Any]:
    chat = in_full(part.get("chat", {}))
    if not isinstance(chat, dict):
        return dict(part)
    if "gen_kwargs" in part and "generation" not in part:
        part = {_OWN.get(name, name): value for name, value in part.items()}
        part["generation"] = _settings(part["generation"])
    moved = {name: own for name, own in ALIASES.items() if name in part and own not in chat}
    if not moved:
        return dict(part)
    said = {own: part[name] for name, own in moved.items()}
    named = said.get("apply")
    if isinstance(named, str) and named not in get_args(Words):
        said |= {"apply": "on", "template": named}  # as in lm-eval, which takes a template's name there
    return {name: value for name, value in part.items() if name not in moved} | {"chat": chat | said}


def _settings(said: object) -> object:
    """Returns `temperature=0.6,top_p=0.95`, as lm-eval's command line has it, as a mapping."""
    pairs = [pair.partition("=") for pair in said.split(",")] if isinstance(said, str) else []
    if not pairs or not all(name.strip() and sign for name, sign, _ in pairs):
        return said
    try:
        return {name.strip(): yaml.safe_load(value) for name, _, value in pairs}
    except yaml.YAMLError:
        return said


def in_users_words(mistakes: Sequence[Mistake], raw: Mapping[str, Any]) -> list[Mistake]:
    """Returns mistakes that point at what the user wrote, where that was lm-eval's name."""
    return [replace(mistake, pointer=_written(mistake.pointer, raw)) for mistake in mistakes]


def _written(pointer: str, raw: Mapping[str, Any]) -> str:
    before, found, setting = pointer.rpartition("/chat/")
    part: object = raw
    for key in before.split("/")[1:]:
        if isinstance(part, list):
            part = part[int(key)] if key.isdigit() and int(key) < len(part) else None
        else:
            part = part.get(key) if isinstance(part, Mapping) else None
    own, slash, rest = setting.partition("/")
    if not found or not isinstance(part, Mapping):
        return pointer
    named = next((name for name, translation in ALIASES.items() if translation == own and name in part), None)
    return pointer if named is None else before + pointer_to(named) + slash + rest
