"""The picture of the way through a stacked model."""

from __future__ import annotations

from search_spaces import Parent, Recipe, Slice, Source
from service.web.dashboard.pictures.stacking import stacking_picture

LEFT, RIGHT = Parent(model="/models/left"), Parent(model="/models/right")


def stacked(*runs: tuple[Parent, int, int, float]) -> Recipe:
    slices = tuple(
        Slice(sources=(Source(parent=parent, layers=(start, end)),), input_scale=scale)
        for parent, start, end, scale in runs
    )
    return Recipe(method="passthrough", slices=slices)


def test_a_model_that_keeps_its_layers_in_order_needs_no_picture() -> None:
    assert stacking_picture(stacked((LEFT, 0, 4, 1.0)), 4) is None


def test_every_step_is_a_mark_in_its_parents_colour_at_its_layers_height() -> None:
    picture = stacking_picture(stacked((LEFT, 0, 3, 1.0), (RIGHT, 1, 4, 0.5)), 4)

    assert picture is not None
    assert picture.parents == ("left", "right")
    assert [mark.colour for mark in picture.marks] == [0, 0, 0, 1, 1, 1]
    assert [mark.x for mark in picture.marks] == sorted({mark.x for mark in picture.marks})
    heights = [mark.y for mark in picture.marks]
    assert heights[0] > heights[1] > heights[2]
    assert heights[1] == heights[3]


def test_a_scaled_input_is_marked_and_told() -> None:
    picture = stacking_picture(stacked((LEFT, 0, 3, 1.0), (RIGHT, 1, 4, 0.5)), 4)

    assert picture is not None
    assert [mark.scaled for mark in picture.marks] == [False, False, False, True, False, False]
    assert "input times 0.5" in picture.marks[3].title
    assert picture.description == "6 layers: 3 of left, 3 of right; 1 with a scaled input"
