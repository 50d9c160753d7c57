"""All problems of the suite."""

from __future__ import annotations

from pathlib import Path

from benchmarks.searching.families.chains import chains_family
from benchmarks.searching.families.facts import facts_family
from benchmarks.searching.families.making import make
from benchmarks.searching.families.topics import topics_family
from benchmarks.searching.suite.problem import Problem, Spec, layerwise, spec_over

GROUPS = 4


def _three_experts(folder: Path) -> Spec:
    files = make(facts_family(3), folder)
    return spec_over(files, [{"task": name} for name in files.experts], layerwise(GROUPS))


def _exact_match(folder: Path) -> Spec:
    objectives: list[Spec] = [{"task": "both", "weight": 2}, {"task": "left"}, {"task": "right"}]
    return spec_over(make(chains_family(2), folder), objectives, layerwise(GROUPS))


def _halves(folder: Path) -> Spec:
    return spec_over(make(topics_family(), folder), [{"task": "topics"}], layerwise(GROUPS))


_ALL = (
    Problem("three_experts", "three interfering experts, multiple choice, 3 objectives", _three_experts),
    Problem("exact_match", "greedy generation, exact match, no margins, 3 objectives", _exact_match),
    Problem("halves", "halves of a classification; the base is best", _halves),
)
PROBLEMS = {problem.name: problem for problem in _ALL}
GATE = ("three_experts", "exact_match", "halves")
