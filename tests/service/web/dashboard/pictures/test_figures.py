"""Figures are pure functions of views."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.reports.views import FrontView
from service.web.dashboard.pictures.figures import (
    best_so_far_figure,
    describe_front,
    front_figure,
    progress_figure,
)
from service.web.dashboard.pictures.plane import MOST_POINTS, PALETTES
from tests.service.web.dashboard.examples import objective, point, progress, two_skills


def traces(figure: Any) -> dict[str, Any]:
    """The figure as browsers get it, by trace."""
    return {trace["name"]: trace for trace in json.loads(figure.to_json())["data"]}


def test_every_candidate_is_drawn_once_and_by_its_kind() -> None:
    found = traces(front_figure(two_skills(winner=4), "maths", "japanese"))

    marks = {name: trace["customdata"] for name, trace in found.items() if "customdata" in trace}
    assert marks == {"Dominated": [5], "Front": [3], "Baselines": [2], "Parents": [0, 1], "Winner": [4]}


def test_kinds_differ_in_shape_as_well_as_in_colour() -> None:
    found = traces(front_figure(two_skills(winner=4), "maths", "japanese"))

    kinds = [found[name]["marker"] for name in ("Front", "Baselines", "Parents", "Winner")]
    assert [kind["symbol"] for kind in kinds] == ["circle", "square", "diamond", "star"]
    assert len({kind["color"] for kind in kinds}) == 4


def test_parents_are_marked_with_their_names() -> None:
    parents = traces(front_figure(two_skills(), "maths", "japanese"))["Parents"]

    assert parents["mode"] == "markers+text"
    assert parents["text"] == ["left", "right"]
    assert (parents["x"], parents["y"]) == ([0.9, 0.1], [0.1, 0.8])


@pytest.mark.parametrize("kind", ["Front", "Baselines", "Parents", "Winner"])
def test_points_have_error_bars_of_one_standard_error(kind: str) -> None:
    trace = traces(front_figure(two_skills(winner=4), "maths", "japanese"))[kind]

    assert trace["error_x"]["array"] == trace["error_y"]["array"] == [0.02] * len(trace["x"])


def test_the_faint_cloud_has_no_error_bars() -> None:
    cloud = traces(front_figure(two_skills(), "maths", "japanese"))["Dominated"]

    assert cloud["opacity"] == 0.5
    assert "error_x" not in cloud
    assert "error_y" not in cloud


def test_the_front_line_joins_all_of_the_front_from_left_to_right() -> None:
    line = traces(front_figure(two_skills(), "maths", "japanese"))["Front line"]

    assert line["x"] == [0.1, 0.5, 0.7, 0.9]
    assert line["y"] == [0.8, 0.7, 0.5, 0.1]
    assert line["line"]["shape"] == "vh"


def test_the_front_line_steps_the_other_way_where_smaller_is_better() -> None:
    view = two_skills()
    loss = view.model_copy(
        update={"objectives": [objective("maths", higher_is_better=False), view.objectives[1]]}
    )

    figure = front_figure(loss, "maths", "japanese")

    assert traces(figure)["Front line"]["line"]["shape"] == "hv"
    assert "lower is better" in figure.layout.xaxis.title.text


def test_three_objectives_have_no_front_line() -> None:
    view = two_skills()
    more = view.model_copy(update={"objectives": [*view.objectives, objective("third")]})

    assert "Front line" not in traces(front_figure(more, "maths", "japanese"))


def test_axes_can_be_swapped() -> None:
    figure = front_figure(two_skills(), "japanese", "maths")

    assert figure.layout.xaxis.title.text == "japanese (acc)"
    assert traces(figure)["Parents"]["x"] == [0.1, 0.8]


def test_shares_are_in_percent_and_other_metrics_are_not() -> None:
    view = two_skills()
    plain = view.model_copy(
        update={"objectives": [objective("maths", metric="word_perplexity"), view.objectives[1]]}
    )

    figure = front_figure(plain, "maths", "japanese")

    assert figure.layout.xaxis.tickformat is None
    assert figure.layout.yaxis.tickformat == ".0%"


def test_names_become_text_and_never_markup() -> None:
    view = two_skills(names=("<b>bold</b>", "japanese"))
    evil = point(9, {"<b>bold</b>": 0.5, "japanese": 0.5}, label='parent: <a href="x">y</a>')
    figure = front_figure(view.model_copy(update={"baselines": [evil]}), "<b>bold</b>", "japanese")
    figure.layout.meta = None  # the description, which plotly does not draw

    drawn = json.dumps(json.loads(figure.to_json()))

    assert "&lt;b&gt;bold" in drawn
    assert "<b>bold" not in drawn
    assert "<a href" not in drawn


def test_an_empty_front_is_a_figure_without_marks() -> None:
    empty = FrontView(
        split="search",
        objectives=[objective("maths"), objective("japanese")],
        front=[],
        front_total=0,
        baselines=[],
        dominated=[],
        dominated_total=0,
        reference=None,
        hypervolume=0.0,
        winner=None,
    )

    assert traces(front_figure(empty, "maths", "japanese")) == {}


def test_a_huge_cloud_is_cut_to_the_newest_and_says_so() -> None:
    view = two_skills()
    many = [point(n, {"maths": 0.2, "japanese": 0.2}) for n in range(5, MOST_POINTS + 105)]

    found = traces(
        front_figure(
            view.model_copy(update={"dominated": many, "dominated_total": len(many)}), "maths", "japanese"
        )
    )

    cloud = found[f"Dominated (newest {MOST_POINTS:,})"]
    assert len(cloud["x"]) == MOST_POINTS
    assert cloud["customdata"][-1] == many[-1].number


def test_one_objective_is_drawn_over_the_candidates_with_the_best_so_far() -> None:
    values = {0: 0.5, 1: 0.3, 2: 0.4, 3: 0.7, 4: 0.6}
    points = {n: point(n, {"maths": v}, label="parent: left" if n == 0 else None) for n, v in values.items()}
    view = FrontView(
        split="search",
        objectives=[objective("maths")],
        front=[points[3]],
        front_total=1,
        baselines=[points[0]],
        dominated=[points[1], points[2], points[4]],
        dominated_total=3,
        reference=[0.5],
        hypervolume=0.2,
        winner=None,
    )

    found = traces(best_so_far_figure(view))

    assert found["Best so far"]["x"] == [0, 1, 2, 3, 4]
    assert found["Best so far"]["y"] == [0.5, 0.5, 0.5, 0.7, 0.7]
    assert found["Parents"]["x"] == [0]
    assert "error_x" not in found["Front"]


def test_the_course_shows_hypervolume_and_best_mean_beside_the_best_baseline() -> None:
    figure = progress_figure(progress(), two_skills().objectives)

    found = traces(figure)
    assert found["Hypervolume"]["x"] == found["Best mean"]["x"] == [3, 5, 6]
    assert found["Hypervolume"]["y"] == [0.10, 0.30, 0.38]
    assert found["Best mean"]["y"] == [0.50, 0.60, 0.60]
    assert figure.layout.annotations[0].text.startswith("best baseline 50.0")


def test_the_dark_theme_has_other_colours_on_the_same_points() -> None:
    light, dark = (
        front_figure(two_skills(), "maths", "japanese", theme=theme) for theme in ("light", "dark")
    )

    assert light.layout.font.color == PALETTES["light"].text
    assert dark.layout.font.color == PALETTES["dark"].text
    assert traces(light)["Front"]["x"] == traces(dark)["Front"]["x"]
    assert traces(light)["Front"]["marker"]["color"] != traces(dark)["Front"]["marker"]["color"]


def test_the_picture_is_described_in_words() -> None:
    text = describe_front(two_skills(winner=4), "maths", "japanese")

    assert "japanese against maths on the search split" in text
    assert "a front of 4 candidates, 2 of them evolved" in text
    assert "candidate 4 is the winner" in text
    assert front_figure(two_skills(winner=4), "maths", "japanese").layout.meta["description"] == text
