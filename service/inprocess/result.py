"""Result: what an experiment found, kept in memory; exports open the home again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from os import PathLike, fspath
from pathlib import Path

import plotly.graph_objects as go

from evaluators import SPLITS, Split
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.recipe import Recipe
from service.cli.connection import Place
from service.cli.experiments.export import HUB, wait_until_written
from service.cli.reaching import Need, reach
from service.cli.terminal.output import CommandError
from service.client.client import Client
from service.examination.sentences import sentences
from service.experiment.findings import ExaminationFindings
from service.inprocess.front import Front
from service.reports.views import ExperimentDetail, ExportView, WinnerView
from service.web.dashboard.pictures.figures import Theme, progress_figure


@dataclass(frozen=True, slots=True)
class Result:
    """What an experiment found.

    Attributes:
        experiment: As it was when it ended; `.spec` is the spec with its defaults.
        fronts: The front on every split.
        recipe: The winner's; None where there is no winner.
    """

    experiment: ExperimentDetail
    fronts: Mapping[Split, Front]
    recipe: Recipe | None
    _place: Place = field(repr=False)

    @property
    def winner(self) -> WinnerView | None:
        """The candidate that the selection split picked; None where none could be scored."""
        return self.experiment.winner

    @property
    def front(self) -> Front:
        """The front on the search split, with the scores of all splits; those of search are optimistic."""
        return self.fronts["search"]

    @property
    def examination(self) -> ExaminationFindings | None:
        """What was found out about the winner on items that the search never saw."""
        return self.winner.examination if self.winner else None

    def sentences(self) -> list[str]:
        """Says in sentences what the examination found; warnings come last."""
        found = self.examination
        return [] if found is None else [*sentences(found), *(f"mind: {each}" for each in found.warnings)]

    def plot(self, x: str | None = None, y: str | None = None, *, theme: Theme = "light") -> go.Figure:
        """Draws the front on the search split; see `Front.plot`."""
        return self.front.plot(x, y, theme=theme)

    def plot_progress(self, *, theme: Theme = "light") -> go.Figure:
        """Draws hypervolume and the best weighted mean over the candidates."""
        return progress_figure(self.experiment.progress, self.experiment.objectives, theme=theme)

    def export(
        self,
        target: str | PathLike[str] | None = None,
        candidate: int | str = "winner",
        *,
        private: bool = True,
        replace: bool = False,
        verify: bool = True,
        even_a_parent: bool = False,
    ) -> ExportView:
        """Writes a candidate as an ordinary Hugging Face checkpoint, and waits until it is there.

        Args:
            target: A folder, or `hub:org/name`; None takes a folder of the home.
            candidate: A number, or `winner`.
            private: Whether a new repository is private.
            replace: An earlier export there, or a model that the repository holds, may be replaced.
            verify: Have transformers load it before it gets its name.
            even_a_parent: Copy even a candidate that is one of the parents as it is.

        Raises:
            ClientError: There is no such candidate, or it could not be written; says why.
        """
        where = None if target is None else fspath(target)
        if where is not None and not where.startswith(HUB):
            where = str(Path(where).expanduser().absolute())
        with reach(self._place, Need.EXPORT) as (client, _):
            view = client.export(
                self.experiment.id,
                candidate,
                target=where,
                private=private,
                replace=replace,
                verify=verify,
                even_a_parent=even_a_parent,
            )
            view = wait_until_written(client, view)
        if view.failure is not None:
            raise CommandError(f"the export failed: {view.failure.cause}", view.failure.remedy)
        return view

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences())
        front = self.front._repr_html_()
        return f"{self.experiment._repr_html_()}{front}<ul>{said}</ul>"


def result_of(client: Client, experiment: ExperimentDetail, place: Place) -> Result:
    """Returns what an experiment that ended has found; `place` is where exports find it again."""
    winner = experiment.winner
    recipe = None if winner is None else read_recipe(client.recipe(experiment.id, winner.number))
    fronts: dict[Split, Front] = {split: Front(client.front(experiment.id, split)) for split in SPLITS}
    return Result(experiment, fronts, recipe, place)
