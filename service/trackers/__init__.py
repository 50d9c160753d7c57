"""Trackers: what happens in an experiment, as a run of W&B, MLflow or TensorBoard.

They subscribe to the event stream on a thread of their own: a tracker that fails says so once, and the
experiment goes on without it.
"""

from __future__ import annotations

from service.trackers.progress_file import is_unfinished
from service.trackers.table import TRACKERS
from service.trackers.target import Target, TrackerTargetError, read_target, read_targets
from service.trackers.tracking import tracked

__all__ = [
    "TRACKERS",
    "Target",
    "TrackerTargetError",
    "is_unfinished",
    "read_target",
    "read_targets",
    "tracked",
]
