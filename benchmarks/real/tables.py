"""What the benchmark prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.measuring.report import print_result, print_table
from benchmarks.real.candidate_costs import Costs
from benchmarks.real.held_out import Answers, mean_gain, point_of
from evaluators.sampling.statistics import PairedTest
from service.experiment.objectives import ObjectiveFacts
from service.inprocess.result import Result
from service.reports.views import FrontPoint

GOALS = {"evaluation": 5.0, "minutes": 30.0}


def show(result: Result, scored: Mapping[int, Answers]) -> None:
    """Prints what the test split gave: as the experiment stored it, and as plain lm-eval says."""
    objectives = result.experiment.objectives
    view = result.front.view
    winner = view.winner
    points = {
        p.number: p
        for p in (*view.baselines, *view.front, *view.dominated)
        if p.number == winner or p in view.baselines
    }
    rows = []
    for number, point in sorted(points.items()):
        stored = {score.benchmark: score for score in point.scores.get("test", [])}
        cells = [
            f"{stored[o.name].value:.3f} ± {stored[o.name].stderr:.3f}" if o.name in stored else "–"
            for o in objectives
        ]
        plain = scored.get(number, {})
        again = [
            f"{sum(plain[o.name]) / len(plain[o.name]):.3f}" if o.name in plain else "–" for o in objectives
        ]
        name = f"* candidate {number}" if number == winner else point.label or str(number)
        rows.append((name, *cells, *again))
    header = ("held out", *(o.name for o in objectives), *(f"{o.name} by lm-eval" for o in objectives))
    print_table("Test items", header, rows)


def show_costs(costs: Costs) -> None:
    """Prints what a candidate costs."""
    cells = (
        *(f"{samples.median:.2f}" for samples in (costs.merges, costs.ours, costs.theirs)),
        f"{costs.theirs.median / costs.ours.median:.1f}",
        f"{GOALS['evaluation']:g}",
        f"{costs.processor_ratio:.1f}",
        f"{costs.floor:.2f}",
        f"{costs.floor / costs.ours.median:.0%}",
        f"{costs.theirs.median / costs.floor:.1f}",
        f"{costs.agreeing:.1%}",
        f"{costs.shared_layers} of {costs.layers}",
        str(costs.their_batch),
    )
    header = (
        "merge s",
        "asked s",
        "HFLM s",
        "ratio",
        "goal",
        "of processor time",
        "floor s",
        "of limit",
        "ratio at limit",
        "items alike",
        "layers run once",
        "HFLM's rows",
    )
    print_table("A candidate on the search items, in turns with HFLM", header, [cells])


def print_gain(
    usual: FrontPoint, tests: Mapping[str, PairedTest], objectives: Sequence[ObjectiveFacts]
) -> None:
    """Says by how much the winner is better on held-out items, and how sure that is."""
    gain, stderr = mean_gain(tests, objectives)
    sure = "" if gain > 2 * stderr else "; that is no more than chance gives"
    each = ", ".join(
        f"{n} {t.difference:+.3f} ± {t.stderr:.3f} ({t.better} better, {t.worse} worse)"
        for n, t in tests.items()
    )
    named = usual.label or usual.number
    print(f"\nOver {named}, the best usual recipe: {gain:+.4f} ± {stderr:.4f}{sure} ({each})")


def finish(
    result: Result,
    winner: Answers,
    tests: Mapping[str, PairedTest],
    costs: Costs,
    seconds: Mapping[str, float],
) -> None:
    """Prints the last line."""
    objectives = result.experiment.objectives
    gain, stderr = mean_gain(tests, objectives)
    point = point_of(result, result.winner.number if result.winner else 0)
    stored = {score.benchmark: score.value for score in point.scores.get("test", [])}
    print_result(
        {
            "evaluation": costs.theirs.median / costs.ours.median,
            "candidate": costs.theirs.median / (costs.merges.median + costs.ours.median),
        },
        limit={
            "matmul_gflops": round(costs.rate / 1e9, 1),
            "seconds": {"evaluation": round(costs.floor, 4)},
            "share_of_limit": {"evaluation": round(costs.floor / costs.ours.median, 3)},
            "ratio_at_limit": {"evaluation": round(costs.theirs.median / costs.floor, 1)},
            "seconds_with_all_layers": {"evaluation": round(costs.floor_alone, 4)},
        },
        layers={"network": costs.layers, "shared_by_all_candidates": costs.shared_layers},
        hflm_batch=costs.their_batch,
        spread={"evaluation": max(costs.ours.spread, costs.theirs.spread), "merge": costs.merges.spread},
        processor_ratios={"evaluation": round(costs.processor_ratio, 3)},
        seconds={name: round(value, 1) for name, value in seconds.items()},
        held_out={
            "gain": round(gain, 4),
            "stderr": round(stderr, 4),
            "objectives": {
                n: {
                    "gain": round(t.difference, 4),
                    "stderr": round(t.stderr, 4),
                    "better": t.better,
                    "worse": t.worse,
                    "p": round(t.p_value, 4),
                }
                for n, t in tests.items()
            },
            "winner_stored": {name: round(value, 4) for name, value in stored.items()},
            "winner_by_lm_eval": {name: round(sum(v) / len(v), 4) for name, v in winner.items()},
        },
        goals=GOALS,
    )
