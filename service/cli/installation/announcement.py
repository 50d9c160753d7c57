"""Where the service of a home listens: a small file in the home, from its start to its end.

Commands find it by this file whatever its port, and wait for it where it is still starting.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ANNOUNCEMENT = "service.json"


@contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """Says for the length of the block that a service of this home listens at an address."""
    place = home / ANNOUNCEMENT
    text = json.dumps({"url": url, "process": os.getpid(), "machine": socket.gethostname()})
    with suppress(OSError):  # a home that cannot be written is told by what needs it
        home.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f"{ANNOUNCEMENT}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(place)
    try:
        yield
    finally:
        with suppress(OSError):  # another service may have announced itself, or the home may be gone
            if place.read_text(encoding="utf-8") == text:
                place.unlink()


def announced_url(home: Path) -> str | None:
    """Returns where the home's service listens; None where none does, or none of this machine."""
    try:
        said = json.loads((home / ANNOUNCEMENT).read_text(encoding="utf-8"))
        url, process, machine = str(said["url"]), int(said["process"]), said["machine"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if machine == socket.gethostname() and _lives(process) else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, OverflowError):
        return False
    return True
