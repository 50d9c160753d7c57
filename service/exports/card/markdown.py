"""Markdown that shows other people's texts as they are."""

from __future__ import annotations

import re

from search_spaces import Parent
from service.experiment.spec import label_of

# Anywhere in a text; at its beginning, where a list or a heading could begin; in a bare address.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~&$!]|^[-+#=]|(?<=www)\.|:(?=//)")
_NUMBERED = re.compile(r"^(\d+)([.)])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def escape(text: str) -> str:
    """Returns text that markdown shows as it is: names are other people's."""
    plain = _SPECIAL.sub(r"\\\g<0>", _CONTROL.sub(" ", text).strip())
    return _NUMBERED.sub(r"\1\\\2", plain)


def fenced(text: str, language: str) -> str:
    """Fences a text with more backticks than it holds in a row itself."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def hub_name(reference: str) -> str | None:
    """Returns the repository of a parent, None for a folder."""
    name = Parent.model_validate(reference).model
    return name if "/" in name and _HUB_NAME.fullmatch(name) else None


def link(reference: str) -> str:
    """Returns a parent's name, with a link to its page where it has one; a folder's place stays unsaid."""
    parent, name = Parent.model_validate(reference), hub_name(reference)
    if name is None:
        return escape(label_of(parent))
    revision = f" at `{parent.revision}`" if parent.revision and parent.revision.isalnum() else ""
    return f"[{escape(name)}](https://huggingface.co/{name}){revision}"
