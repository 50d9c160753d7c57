"""The trackers that there are: one row each, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class TrackerEntry(NamedTuple):
    """A tracker, which is imported when it is used.

    Attributes:
        module, name: Where its class is.
        package: What must be importable.
        extra: What `pip install "evomerge[...]"` takes.
        place: What may stand behind the colon of a target; `needs_place`: it must.
    """

    module: str
    name: str
    package: str
    extra: str
    place: str
    needs_place: bool = False


TRACKERS: Mapping[str, TrackerEntry] = {
    "mlflow": TrackerEntry(
        "service.trackers.mlflow",
        "MlflowTracker",
        "mlflow",
        "mlflow",
        "a tracking URI: mlflow:sqlite:///ml.db",
    ),
    "tensorboard": TrackerEntry(
        "service.trackers.tensorboard",
        "TensorBoardTracker",
        "tensorboard",
        "tensorboard",
        "a folder: tensorboard:FOLDER",
        needs_place=True,
    ),
    "wandb": TrackerEntry(
        "service.trackers.wandb", "WandbTracker", "wandb", "wandb", "a project: wandb:ENTITY/PROJECT"
    ),
}
