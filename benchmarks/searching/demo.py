"""The demo problem: evaluations and seconds to held-out scores, ours against three peers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.measuring.report import print_table
from benchmarks.searching.contestants import Told, run_evolve, run_mergenetic, run_ours
from benchmarks.searching.held_out import HeldOut
from benchmarks.searching.problem import Problem, make_problem
from service.optimizers import AUTO

TARGETS = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70)
"""Held-out scores: the best parent has about 0.37, the plain average about 0.33."""
PEERS = ("mergekit-evolve", "mergenetic", "random")
ALGORITHMS = (
    AUTO,
    "cma_es",
    "separable_cma_es",
    "differential_evolution",
    "nsga2",
    "sms_emoa",
    "map_elites",
    "cma_mae",
    "cycleqd",
    "m2n2",
    "genome",
    "nevergrad:NGOpt",
    "quasi_random",
    "random",
)
QUICK = (AUTO, "cma_es", "random")


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much is run.

    Attributes:
        budget: Evaluations of every run.
        seeds, peer_seeds: Of our runs and of random search; of mergekit-evolve's.
        slow_peer_seeds: Of mergenetic's, which takes three times as long.
    """

    budget: int
    seeds: int
    peer_seeds: int
    slow_peer_seeds: int
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class Step:
    """A new incumbent of a run: the best search score so far, and what its model is worth held out."""

    evaluation: int
    seconds: float
    search: float
    held_out: float


@dataclass(frozen=True, slots=True)
class Course:
    """The runs of one contestant.

    Attributes:
        steps: One list per seed.
    """

    told: Told
    steps: tuple[tuple[Step, ...], ...]

    def ends(self) -> list[float]:
        """Returns the held-out score of each run's last incumbent: what its user gets."""
        return [run[-1].held_out for run in self.steps]

    def evaluations_to(self, target: float) -> float:
        """Returns the median over seeds; a run that never reaches it counts as infinitely long."""
        return median([first.evaluation + 1 if first else math.inf for first in self._first(target)])

    def seconds_to(self, target: float) -> float:
        """Returns the median over seeds, start-up included."""
        return self.told.startup + self.search_seconds_to(target)

    def search_seconds_to(self, target: float) -> float:
        """Returns the median over seeds, from the moment when the run was ordered."""
        return median([first.seconds if first else math.inf for first in self._first(target)])

    def _first(self, target: float) -> list[Step | None]:
        return [next((step for step in run if step.held_out >= target), None) for run in self.steps]


def measure_demo(size: DemoSize, folder: Path, *, workers: int) -> tuple[Problem, dict[str, Course]]:
    """Runs every contestant and scores its incumbents; those that are absent say why in `told`."""
    problem = make_problem(folder, quick=False)
    ours = run_ours(problem, size.algorithms, range(size.seeds), size.budget, workers)
    peers = [
        run_evolve(problem, range(size.peer_seeds), size.budget, workers),
        run_mergenetic(problem, range(size.slow_peer_seeds), size.budget, workers),
    ]
    for told in (*ours, *peers):  # CMA-ES evaluates whole generations, and its mean at the end
        told.trials = {seed: run[: size.budget] for seed, run in told.trials.items()}
    every = [asdict(t) for told in (*ours, *peers) for run in told.trials.values() for t in run]
    (folder / "trials.json").write_text(json.dumps(every))
    judge = HeldOut(problem)
    try:
        return problem, {
            told.name: Course(told, tuple(tuple(_steps(told, seed, judge)) for seed in sorted(told.trials)))
            for told in (*ours, *peers)
        }
    finally:
        judge.close()


def _steps(told: Told, seed: int, judge: HeldOut) -> Iterator[Step]:
    best = -math.inf
    for trial in told.trials[seed]:
        if trial.score > best:
            best = trial.score
            yield Step(trial.evaluation, trial.seconds, best, judge.score(trial.recipe))


def shared_target(courses: Mapping[str, Course], peer: str) -> float | None:
    """Returns the highest target that both our default and the peer reach in most of their runs."""
    reached = [
        target
        for target in TARGETS
        if all(math.isfinite(courses[name].evaluations_to(target)) for name in (AUTO, peer))
    ]
    return max(reached, default=None)


def ratios(courses: Mapping[str, Course]) -> dict[str, float]:
    """Returns how many times our default's seconds and evaluations each peer takes, and who ends higher.

    `time_to_target` includes both sides' start-up, as where nothing is running yet; `search_time_to_target`
    neither's, as where a service is.  `end_vs_X` is the median held-out score at the full budget, ours
    minus the peer's.
    """
    found = {}
    for peer in PEERS:
        if peer not in courses or not courses[peer].steps:
            continue
        mine, other, name = courses[AUTO], courses[peer], peer.replace("-", "_")
        found[f"end_vs_{name}"] = median(mine.ends()) - median(other.ends())
        target = shared_target(courses, peer)
        if target is None:
            continue
        found[f"time_to_target_vs_{name}"] = other.seconds_to(target) / mine.seconds_to(target)
        search_seconds = other.search_seconds_to(target) / mine.search_seconds_to(target)
        found[f"search_time_to_target_vs_{name}"] = search_seconds
        found[f"evaluations_to_target_vs_{name}"] = other.evaluations_to(target) / mine.evaluations_to(target)
        found[f"target_vs_{name}"] = target
    return found


def spreads(courses: Mapping[str, Course]) -> dict[str, float]:
    """Returns half the range of each contestant's final held-out scores over its seeds."""
    return {
        f"end_{name}": (max(course.ends()) - min(course.ends())) / 2
        for name, course in courses.items()
        if course.steps
    }


def print_courses(courses: Mapping[str, Course], budget: int) -> None:
    """Prints the tables: evaluations to each target, seconds to each target."""
    header = ("contestant", "seeds", "search", "held out", *(f"{target:.2f}" for target in TARGETS))
    present = [course for course in courses.values() if course.steps]

    def rows(of: str) -> list[Sequence[object]]:
        return [
            (
                course.told.name,
                len(course.steps),
                f"{median(run[-1].search for run in course.steps):.3f}",
                f"{median(course.ends()):.3f}",
                *(_number(getattr(course, of)(target)) for target in TARGETS),
            )
            for course in present
        ]

    print_table(f"Evaluations to a held-out score (median; budget {budget})", header, rows("evaluations_to"))
    print_table("Seconds to a held-out score, start-up included (median)", header, rows("seconds_to"))
    print_table("Seconds without the start-up (median)", header, rows("search_seconds_to"))
    print_table(
        "What an evaluation costs",
        ("contestant", "start-up s", "s per evaluation"),
        [(c.told.name, f"{c.told.startup:.1f}", f"{c.told.seconds_per_evaluation:.3f}") for c in present],
    )
    for course in courses.values():
        if course.told.absent:
            print(f"\n{course.told.name} did not take part: {course.told.absent}")


def _number(value: float) -> str:
    return "-" if math.isinf(value) else f"{value:.0f}"
