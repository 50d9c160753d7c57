"""The archive's cells as a picture."""

from __future__ import annotations

from typing import Any

from service.reports.search_views import ArchivePoint, ArchiveView, CellView, MeasureView
from service.web.dashboard.pictures.archive_figure import archive_course_figure, archive_figure


def archive(measures: int, *cells: tuple[tuple[int, ...], int, float]) -> ArchiveView:
    return ArchiveView(
        measures=[
            MeasureView(name=f"<b>{i}", kind="share", low=0.0, high=1.0, cells=4) for i in range(measures)
        ],
        cells=[
            CellView(cell=list(cell), number=number, label=None, quality=quality, measures=[0.1] * measures)
            for cell, number, quality in cells
        ],
        coverage=0.25,
        qd_score=1.0,
    )


def trace_of(view: ArchiveView, **options: Any) -> dict[str, Any]:
    return dict(archive_figure(view, **options).to_dict()["data"][-1])


def test_a_cell_lies_where_its_measures_are_and_leads_to_its_elite() -> None:
    trace = trace_of(archive(2, ((0, 3), 7, 0.5), ((2, 1), 9, 0.8)))
    assert trace["z"][3][0] == 0.5
    assert trace["customdata"][1][2] == 9
    assert trace["z"][0][0] is None
    assert trace["x"][0] == 0.125


def test_one_measure_is_drawn_as_bars() -> None:
    trace = trace_of(archive(1, ((3,), 7, 0.5), ((0,), 9, 0.8)))
    assert trace["type"] == "bar"
    assert list(trace["customdata"]) == [9, 7]


def test_of_several_elites_in_one_place_the_best_is_shown() -> None:
    trace = trace_of(archive(3, ((0, 3, 0), 7, 0.5), ((0, 3, 1), 9, 0.8), ((0, 3, 2), 8, 0.7)))
    assert trace["customdata"][3][0] == 9


def test_names_are_text_and_no_markup() -> None:
    figure = archive_figure(archive(2, ((0, 0), 1, 0.5))).to_dict()
    assert figure["layout"]["xaxis"]["title"]["text"] == "&lt;b&gt;0"


def test_the_course_has_a_point_for_every_moment_and_says_the_last() -> None:
    view = archive(2).model_copy(
        update={
            "coverage": 0.5,
            "qd_score": 3.0,
            "course": [
                ArchivePoint(candidates=1, coverage=0.25, qd_score=1.0),
                ArchivePoint(candidates=9, coverage=0.5, qd_score=3.0),
            ],
        }
    )

    figure = archive_course_figure(view)

    assert [list(trace.y) for trace in figure.data] == [[0.25, 0.5], [1.0, 3.0]]
    assert "coverage 50%" in figure.layout.meta["description"]
    assert not archive_course_figure(archive(2)).data
