"""Pictures of what a client returns, drawn by the functions that draw the dashboard's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.reports.search_views import ArchiveView
from service.reports.views import ExperimentView
from service.web.dashboard.pictures.archive_figure import archive_figure
from service.web.dashboard.pictures.figures import Theme, progress_figure

if TYPE_CHECKING:
    import plotly.graph_objects as go


def plot_progress(experiment: ExperimentView, *, theme: Theme = "light") -> go.Figure:
    """Draws hypervolume and best weighted mean over the candidates.

    Args:
        experiment: As `client.experiment(NAME)` returns it, with its whole course.
        theme: `light` or `dark`.
    """
    return progress_figure(experiment.progress, experiment.objectives, theme=theme)


def plot_archive(archive: ArchiveView, *, theme: Theme = "light") -> go.Figure:
    """Draws the best candidate of every cell, as `client.archive(NAME)` returns them.

    Args:
        archive: Over one or two measures.
        theme: `light` or `dark`.
    """
    return archive_figure(archive, theme=theme)
