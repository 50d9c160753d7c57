"""Weights & Biases: a run of a project, online, or offline with WANDB_MODE=offline."""

from __future__ import annotations

import os

import wandb

from service.trackers.tracker import Point, RunEnding, RunFacts, Tracker

PROJECT = "evomerge"


class NotLoggedInError(RuntimeError):
    """W&B would ask for a key, and a thread can ask no one for it."""

    def __init__(self) -> None:
        super().__init__("no key for W&B; call `wandb login`, or set WANDB_API_KEY or WANDB_MODE=offline")


class WandbTracker(Tracker):
    """Writes a run whose id is the experiment's; the place is `PROJECT` or `ENTITY/PROJECT`."""

    def __init__(self, facts: RunFacts, place: str) -> None:
        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise NotLoggedInError
        entity, _, project = (place or PROJECT).rpartition("/")
        self._name = facts.name
        self._run = wandb.init(
            entity=entity or None,
            project=project,
            id=facts.experiment.hex,
            name=facts.name,
            config=dict(facts.spec),
            resume="allow",  # a restart goes on in the same run
            dir=os.environ.get("WANDB_DIR"),
            settings=wandb.Settings(console="off", silent=True),
        )

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self._run.id)

    def log(self, points: list[Point]) -> None:
        """Writes a step per point; steps that the run has already are left out by W&B."""
        for point in points:
            self._run.log(dict(point.values), step=point.step)

    def end(self, ending: RunEnding) -> None:
        """Writes the winner's scores into the summary, recipe and card as an artifact."""
        self._run.summary.update({"status": ending.status, **ending.values})
        if ending.texts:
            artifact = wandb.Artifact(f"{self._run.id}-winner", type="merge-recipe")
            for name, text in ending.texts.items():
                with artifact.new_file(name, encoding="utf-8") as file:
                    file.write(text)
            self._run.log_artifact(artifact)

    def close(self) -> None:
        """Ends the run; one that is not over is taken up again."""
        self._run.finish()
