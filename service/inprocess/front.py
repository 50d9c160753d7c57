"""Front: a front as a data frame, a picture and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluators import Split
from service.client.errors import ClientError
from service.inprocess.errors import MissingPackageError
from service.reports.front_columns import front_columns, front_rows
from service.reports.views import FrontPoint, FrontView
from service.web.dashboard.pictures.figures import Theme, best_so_far_figure, front_figure

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    import polars as pl


@dataclass(frozen=True, slots=True)
class Front:
    """The front on one split, with what it is compared to.

    Args:
        view: As the client returns it: `Front(client.front(NAME, "test"))`.
    """

    view: FrontView

    @property
    def split(self) -> Split:
        """The split on which nothing dominates these candidates."""
        return self.view.split

    @property
    def points(self) -> list[FrontPoint]:
        """The candidates on the front."""
        return self.view.front

    def __len__(self) -> int:
        return len(self.view.front)

    def to_pandas(self, *, dominated: bool = False) -> pd.DataFrame:
        """Returns a row per candidate: the front, the baselines, the winner.

        Columns: `label`, `kind`, `on_front`, `winner`, then `SPLIT:OBJECTIVE` and
        `SPLIT:OBJECTIVE:stderr` in the objective's own units; the index is the candidate's number.

        Args:
            dominated: All other candidates, too.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackageError("to_pandas()", "pandas") from error
        rows = [
            self._row(point, on_front=on_front)
            for point, on_front in front_rows(self.view, dominated=dominated)
        ]
        names = ["number", "label", "kind", "on_front", "winner", *self._score_names()]
        return pd.DataFrame(rows, columns=names).set_index("number")

    def to_polars(self, *, dominated: bool = False) -> pl.DataFrame:
        """Returns the same as a data frame of polars, with the number as a column.

        Raises:
            MissingPackageError: polars is not installed.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise MissingPackageError("to_polars()", "polars") from error
        rows = [
            self._row(point, on_front=on_front)
            for point, on_front in front_rows(self.view, dominated=dominated)
        ]
        names = ["number", "label", "kind", "on_front", "winner", *self._score_names()]
        return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)

    def _score_names(self) -> list[str]:
        columns = [f"{split}:{objective.name}" for split, objective in front_columns(self.view)]
        return [name for column in columns for name in (column, f"{column}:stderr")]

    def _row(self, point: FrontPoint, *, on_front: bool) -> list[Any]:
        scores = [column.score(point) for column in front_columns(self.view)]
        cells = [cell for one in scores for cell in ((one.value, one.stderr) if one else (None, None))]
        winner = point.number == self.view.winner
        return [point.number, point.label, point.kind.value, on_front, winner, *cells]

    def plot(self, x: str | None = None, y: str | None = None, *, theme: Theme = "light") -> go.Figure:
        """Draws the front against two objectives, or the best so far where there is only one.

        Args:
            x: The objective across; by default the first.
            y: The objective upwards; by default the second.
            theme: `light` or `dark`.

        Raises:
            ClientError: There is no such objective.
        """
        names = [objective.name for objective in self.view.objectives]
        for name in (x, y):
            if name is not None and name not in names:
                raise ClientError(
                    f"there is no objective {name!r}", f"the objectives are: {', '.join(names)}"
                )
        if len(names) == 1:
            return best_so_far_figure(self.view, theme=theme)
        across = x or next(name for name in names if name != y)
        return front_figure(self.view, across, y or next(n for n in names if n != across), theme=theme)

    def _repr_html_(self) -> str:
        return self.view._repr_html_()
