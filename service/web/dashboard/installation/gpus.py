"""GPUs of the controller's machine: what each is at and how much of its memory is taken."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

_COMMAND = (
    "nvidia-smi --query-gpu=index,name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits"
)
_FIELDS = 5
PATIENCE = 3.0  # seconds for the driver's own program


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; `busy` is a share of one, memory in MiB; None where the driver does not say."""

    index: int
    name: str
    busy: float | None
    memory_used: float | None
    memory: float | None


def gpus() -> list[Gpu]:
    """Returns the machine's GPUs by `nvidia-smi`; none where there is no such program, or it fails."""
    command = _COMMAND.split()
    if shutil.which(command[0]) is None:
        return []
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    return read_gpus(answer.stdout)


def read_gpus(text: str) -> list[Gpu]:
    """Reads what `nvidia-smi` writes, a line per GPU."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != _FIELDS:
            continue
        busy, used, total = (_number(part) for part in parts[2:])
        found.append(Gpu(int(parts[0]), parts[1], None if busy is None else busy / 100, used, total))
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # `[N/A]`
        return None
