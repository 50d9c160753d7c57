"""Whether a model was trained to follow instructions, as its name says.  Torch-free."""

from __future__ import annotations

import re

from workers.checkpoints.layout import Layout

_WORDS = (
    "aya|chat|dpo|instruct|instruction|instruct2|it|orpo|reasoner|reasoning|rlhf|sft|think|thinking|"
    "assistant|hermes|vicuna|tulu|zephyr"
)
_SAID = re.compile(rf"(?<![a-z])(?:{_WORDS})(?![a-z])", re.IGNORECASE)


def follows_instructions(layout: Layout) -> bool:
    """Says whether a model's reference, or the name in its config, tells of such a training."""
    names = [layout.parent.model, layout.parent.adapter or "", str(layout.config.get("_name_or_path") or "")]
    return any(_SAID.search(name.rstrip("/").rpartition("/")[2]) for name in names)
