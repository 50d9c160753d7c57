"""Server-sent events, as lines of an answer."""

from __future__ import annotations

from collections.abc import Iterator


def events_in(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yields name and data of each event of a stream; comments are heartbeats and pass by."""
    name, data = "message", [""][:0]
    for line in lines:
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "message", []
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
