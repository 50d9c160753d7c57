"""The picture of a candidate's family tree."""

from __future__ import annotations

from service.experiment.candidate import CandidateStatus
from service.reports.search_views import LineageNode, LineageView
from service.web.dashboard.pictures.lineage import MOST_DRAWN, LineagePicture, lineage_picture


def tree(candidate: int, ancestors: dict[int, list[int]]) -> LineageView:
    nodes = [
        LineageNode(
            number=number,
            label="parent: left" if number == 0 else None,
            generation=1,
            status=CandidateStatus.SCORED,
            operator="crossover" if of else "",
            ancestors=of,
            scores=[],
        )
        for number, of in ancestors.items()
    ]
    return LineageView(candidate=candidate, complete=True, nodes=nodes)


def drawn(view: LineageView) -> LineagePicture:
    picture = lineage_picture(view)
    assert picture is not None
    return picture


def test_a_candidate_that_was_made_of_no_parents_has_no_tree() -> None:
    assert lineage_picture(tree(3, {3: []})) is None


def test_ancestors_stand_left_of_everything_made_of_them() -> None:
    ancestors = {0: [], 1: [], 2: [0, 1], 3: [1], 4: [2, 3]}
    picture = drawn(tree(4, ancestors))
    x = {person.number: person.x for person in picture.people}
    assert all(x[of] < x[number] for number, found in ancestors.items() for of in found)
    assert len(picture.lines) == 5


def test_the_candidate_and_the_baselines_can_be_told_apart() -> None:
    picture = drawn(tree(2, {0: [], 1: [], 2: [0, 1]}))
    assert {person.number: person.role for person in picture.people} == {
        0: "baseline",
        1: "evolved",
        2: "chosen",
    }


def test_of_a_very_long_lineage_the_nearest_are_drawn_and_the_others_counted() -> None:
    picture = drawn(tree(300, {n: [n - 1] if n else [] for n in range(301)}))
    assert len(picture.people) == MOST_DRAWN
    assert picture.left_out == 301 - MOST_DRAWN
    assert min(person.number for person in picture.people) == 301 - MOST_DRAWN
