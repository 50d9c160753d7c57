"""What the tests of trackers share: experiments over a scripted workforce, and readers of offline runs."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

BLOCK, HEADER, FIRST = 32768, 7, 7  # of W&B's files: LevelDB's log format behind a header of 7 bytes


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns steps and values by tag, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    seen = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    found = {}
    for tag in seen.Tags()["tensors"]:
        events = seen.Tensors(tag)
        values = [make_ndarray(event.tensor_proto).reshape(-1)[0] for event in events]
        found[tag] = [(event.step, value) for event, value in zip(events, values, strict=True)]
    return found


def text_of(value: object) -> str:
    """Returns what a text summary holds."""
    assert isinstance(value, bytes)
    return value.decode()


def wandb_history(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns steps and values by name of all offline runs in a folder, in the order of their files."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        for content in _log_records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(content)
            row = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            for name, value in row.items():
                if not name.startswith("_"):
                    found[name].append((int(row["_step"]), float(value)))
    return dict(found)


def wandb_records(folder: Path) -> list[Any]:
    """Returns all records of the offline runs in a folder."""
    from wandb.proto import wandb_internal_pb2

    files = folder.glob("wandb/offline-run-*/*.wandb")
    contents = [content for file in files for content in _log_records(file.read_bytes())]
    return [wandb_internal_pb2.Record.FromString(content) for content in contents]


def _log_records(data: bytes) -> list[bytes]:
    found, part, at = [], b"", FIRST
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last of several parts
            found.append(part)
            part = b""
    return found
