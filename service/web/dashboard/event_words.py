"""What happened, in words: an event's kind and payload as people are told them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.experiment.status import ExperimentStatus
from service.reports.views import EventView

Payload = Mapping[str, Any]


def in_words(event: EventView) -> str:
    """Returns a sentence without its full stop; of unknown kinds their name and numbers."""
    tell = _WORDS.get(event.kind)
    told = tell(event.payload) if tell is not None else None
    return told or _plain(event.kind, event.payload)


def candidate_of(event: EventView) -> int | None:
    """Returns the candidate that an event is about; None where it is about none."""
    number = event.payload.get("number")
    return number if isinstance(number, int) else None


def _plain(kind: str, payload: Payload) -> str:
    parts = [f"{name} {value}" for name, value in payload.items() if isinstance(value, (str, int, float))]
    return " ".join((kind.replace(".", " ").replace("_", " "), *parts))


def _settled(payload: Payload) -> str:
    return f"candidate {payload['number']} is {payload.get('status', 'settled')}"


def _told(payload: Payload) -> str:
    said = f"generation {payload.get('generation', '?')} was learned from"
    if payload.get("best") is not None:
        said += f"; best mean {payload['best']:.4g} (candidate {payload.get('best_number')})"
    if payload.get("hypervolume") is not None:
        said += f", hypervolume {payload['hypervolume']:.4g}"
    front = payload.get("front")
    return said + (f", {len(front)} on the front" if isinstance(front, list) else "")


def _status(payload: Payload) -> str | None:
    try:
        words = ExperimentStatus(payload["status"]).words
    except (KeyError, ValueError):
        return None
    return f"the experiment is {words}" + (f": {payload['reason']}" if payload.get("reason") else "")


def _examined(payload: Payload) -> str | None:
    if "number" not in payload:
        return None
    said = f"candidate {payload['number']} was examined"
    return said + (f" on the {payload['split']} split" if payload.get("split") else "")


def _extended(payload: Payload) -> str | None:
    before, after = payload.get("before"), payload.get("after")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return None
    return f"extended from {before.get('candidates')} to {after.get('candidates')} candidates"


_WORDS: Mapping[str, Callable[[Payload], str | None]] = {
    "candidate.settled": _settled,
    "candidate.examined": _examined,
    "candidate.reevaluated": lambda payload: f"candidate {payload.get('number')} answered further items",
    "experiment.created": lambda _: "the experiment was created",
    "experiment.status": _status,
    "experiment.extended": _extended,
    "examination.done": lambda _: "the examination is done",
    "generation.told": _told,
    "workers.away": lambda payload: (
        f"the workers are away: {payload.get('cause') or payload.get('reason') or ''}"
    ),
    "workers.back": lambda _: "the workers are back",
}
