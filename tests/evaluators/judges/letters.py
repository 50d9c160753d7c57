"""A tiny tokenizer that knows the letters a judge answers with."""

from __future__ import annotations

import json
from pathlib import Path


def teach_letters(folder: Path) -> Path:
    """Puts the two letters in the places of two words of a tiny model's tokenizer."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    words = content["model"]["vocab"]
    for letter, word in (("A", "w16"), ("B", "w17")):
        words[letter] = words.pop(word)
    path.write_text(json.dumps(content))
    return folder
