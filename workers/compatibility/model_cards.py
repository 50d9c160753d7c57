"""The head of a model's README, as its author filled it in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

CARD_FILE = "README.md"
LONGEST = 200  # characters of a text from an unknown author
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)


def front_matter(text: str | None) -> Mapping[str, Any]:
    """Returns the mapping at the head of a README, empty where there is none that can be read."""
    match = _FRONT_MATTER.match(text or "")
    if match is None:
        return {}
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, Mapping) else {}
