"""Faults of Ray and its workers: as `faults`, with a controller whose workers are Ray's processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping

import psutil

from benchmarks.breaking.faults import LONGEST, Fault
from benchmarks.breaking.field import Field
from benchmarks.breaking.ray_workers import SwiftWorker

WORKER = f"ray::{SwiftWorker.__name__}"  # what Ray calls its processes
SOME = 12  # candidates, after which something is killed


def _started(on: Field, **more: int) -> psutil.Process:
    process = on.start(ray={"folder": str(on.folder), **more})
    return psutil.Process(process.pid)


def _killed(name: str) -> Fault:
    def fault(on: Field) -> None:
        controller = _started(on)
        on.wait_for_candidates(SOME, LONGEST)
        for process in controller.children(recursive=True):
            if process.name().startswith(name):
                process.send_signal(signal.SIGKILL)

    return fault


def worker_killed(on: Field) -> None:
    """Kills a worker, and another one later."""
    controller = _started(on)
    for ended in (SOME, 2 * SOME):
        on.wait_for_candidates(ended, LONGEST)
        workers = [one for one in controller.children(recursive=True) if one.name().startswith(WORKER[:15])]
        on.rng.choice(workers).send_signal(signal.SIGKILL)


def controller_killed_with_ray(on: Field) -> None:
    """Kills a controller, and with it its Ray; another goes on with one of its own."""
    controller = _started(on)
    on.wait_for_candidates(SOME, LONGEST)
    controller.kill()
    _started(on)


def evaluation_hangs(on: Field) -> None:
    """Has evaluations hang until their time is up."""
    _started(on, hangs=25)
    on.has_ended(time.monotonic() + LONGEST)


RAY_FAULTS: Mapping[str, Fault] = {
    "raylet_killed": _killed("raylet"),
    "ray_head_killed": _killed("gcs_server"),
    "worker_killed": worker_killed,
    "controller_killed_with_ray": controller_killed_with_ray,
    "evaluation_hangs": evaluation_hangs,
}
