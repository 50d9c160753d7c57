"""What mergekit-evolve leaves behind, for those who run its files: best_config.yaml and final_model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.cli.chosen_settings import settings_from
from service.cli.evolve_flags import EvolveFlags
from service.cli.experiments.export import wait_until_written
from service.cli.spec_file import SpecFile
from service.cli.terminal.output import CommandError, note
from service.client.client import Client
from service.reports.views import ExperimentView

BEST, FINAL = "best_config.yaml", "final_model"


@dataclass(slots=True)
class BestConfig:
    """Writes best_config.yaml at every improvement, as mergekit-evolve does; nothing for files of our own.

    Attributes:
        number: The candidate that it holds.
    """

    client: Client
    spec: SpecFile
    flags: EvolveFlags
    home: Path | None
    number: int | None = None

    def __call__(self, view: ExperimentView) -> None:
        """Writes the best candidate's recipe, where it is another than before."""
        best = view.progress.best_number
        if self.spec.translation is None or best is None or best == self.number:
            return
        folder = _folder(self.spec, self.flags, self.home)
        text = self.client.recipe(view.id, best)
        _write(folder, f"# the best of {view.name} so far, candidate {best}", text)
        self.number = best


def deliver(client: Client, spec: SpecFile, flags: EvolveFlags, home: Path | None) -> None:
    """Writes the winner's recipe, and the winner where it is wanted; nothing for files of our own.

    They lie in the storage path, or beside what the service keeps: `HOME/NAME/best_config.yaml`.

    Raises:
        CommandError: The winner could not be exported.
    """
    if spec.translation is None:
        return
    name = str(spec.content["name"])
    winner = client.experiment(name).winner
    if winner is None:
        note(f"{name} has no winner, so there is no {BEST}.")
        return
    folder = _folder(spec, flags, home)
    text = client.recipe(name, winner.number)
    header = f"# the winner of {name}, candidate {winner.number}"
    if client.candidate(name, winner.number).generation == 0:
        header += f": {winner.label}, for nothing that was searched was better"
        note(f"Mind: nothing that was searched was better than a baseline, {winner.label}.")
    _write(folder, header, text)
    note(f"The winner's recipe is in {folder / BEST}; mergekit-yaml reads it, too.")
    if flags.saves_model:
        _save_model(client, name, folder / FINAL)


def _folder(spec: SpecFile, flags: EvolveFlags, home: Path | None) -> Path:
    return flags.storage or (home or settings_from().home) / str(spec.content["name"])


def _write(folder: Path, header: str, recipe: str) -> None:
    """Replaces best_config.yaml as a whole: another program may be reading it."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{BEST}.new"
    draft.write_text(f"{header}\n{recipe}", encoding="utf-8")
    draft.replace(folder / BEST)


def _save_model(client: Client, name: str, folder: Path) -> None:
    target = str(folder.absolute())
    view = client.export(name, "winner", target=target, replace=True, even_a_parent=True)
    view = wait_until_written(client, view)
    if view.failure is not None:
        raise CommandError(f"the export failed: {view.failure.cause}", view.failure.remedy)
    note(f"The winner is in {folder}")
