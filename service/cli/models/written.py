"""What is said of a checkpoint that was written."""

from __future__ import annotations

import json
from typing import Any

from service.cli.terminal.output import say
from workers.protocol.messages import Exported


def say_written(exported: Exported, *, as_json: bool, **results: Any) -> None:  # noqa: ANN401 - any JSON
    """Writes the checkpoint's folder on stdout, or all that is known of it as JSON."""
    if not as_json:
        say(exported.folder)
        return
    told = {
        "folder": exported.folder,
        "files": list(exported.files),
        "bytes": exported.bytes,
        "digest": exported.digest,
        "verified": exported.verified or None,
        "notes": list(exported.notes),
    }
    say(json.dumps(told | results, indent=2, ensure_ascii=False))
