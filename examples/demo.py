"""`make demo`: evolves merges of real, tiny models and exports the winner.

It is what a user would do by hand, step by step: make parents, start the service, submit an
experiment over REST, watch it, look at the front, export the winner, and score the exported
checkpoint again with plain lm-eval in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluators import Split
from evomerge import ApiError, Client, ClientError
from examples.service_process import ServiceDidNotStartError, ServiceProcess, start_service
from service.cli.experiments.watch import follow
from service.cli.spec_file import read_spec_file
from service.cli.terminal.tables import with_error
from service.experiment.candidate import CandidateKind
from service.experiment.status import ExperimentStatus
from service.reports.views import CandidateView, ExperimentView, ExportView, FrontPoint, FrontView, ScoreView

EXPERIMENT = Path(__file__).parent / "language_and_arithmetic" / "experiment.yml"
HELD_OUT: tuple[Split, Split] = ("search", "test")
MOST_DIFFERENCE = 1e-9  # between a stored score and that of the exported checkpoint

# Tables keep their columns where there is no terminal to say how wide it is.
console = Console(width=None if sys.stdout.isatty() else 110)


class DemoError(RuntimeError):
    """A step of the demo did not do what it should."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo is run.

    Attributes:
        home: The service's home; `evomerge serve --home` shows it again later.
        seed: Decides the questions that are held out, the parents' training and the search.
        quick: Smaller parents and a shorter search, for tests: it shows the way, not the result.
    """

    home: Path
    port: int = 8000
    seed: int = 0
    quick: bool = False
    candidates: int | None = None
    workers: int | None = None


def step(number: int, title: str) -> None:
    """Prints a step's heading."""
    console.print(f"\n[bold]{number}. {title}[/bold]")


def make_parents(files: Path, *, seed: int = 0, quick: bool) -> None:
    """Trains the base and the experts and writes the tasks, unless they are there already."""
    command = [sys.executable, "-m", "examples.language_and_arithmetic", str(files), "--seed", str(seed)]
    if subprocess.run([*command, *(["--quick"] if quick else [])], check=False).returncode:
        raise DemoError("the parents could not be made; the lines above say why")


def submit(client: Client, files: Path, options: DemoOptions) -> ExperimentView:
    """Submits the experiment under the first free name."""
    for example in EXPERIMENT.parent.glob("*.yml"):  # the others to be tried later
        (files / example.name).write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    spec_path = files / EXPERIMENT.name
    changes = [f"seed={options.seed}"]
    if options.quick:
        changes += ["budget.candidates=8", "optimizer.population=4", "examination.finalists=2"]
    if options.candidates:
        changes.append(f"budget.candidates={options.candidates}")
    for name in ("demo", *(f"demo-{i}" for i in range(2, 1000))):
        try:
            return client.create(read_spec_file(spec_path, changes, name=name).content)
        except ApiError as error:
            if error.code != "name_taken":
                raise
    raise DemoError("a thousand demos lie in this home; give another with --home")


def watch(client: Client, experiment: ExperimentView) -> ExperimentView:
    """Follows the experiment to its end with a progress bar."""
    ended = follow(client, str(experiment.id))
    if ended.status is not ExperimentStatus.SUCCEEDED:
        failure = ended.failure
        raise DemoError(f"the experiment ended {ended.status}: {failure.cause if failure else ended.reason}")
    return ended


def score_of(point: FrontPoint | CandidateView, split: Split, objective: str) -> ScoreView | None:
    """Returns a candidate's score on an objective, if it was evaluated there."""
    return next((s for s in point.scores.get(split, []) if s.benchmark == objective), None)


def results_table(front: FrontView) -> Table:
    """Returns parents, usual recipes and the evolved front: search score beside held-out score."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for objective in front.objectives:
        table.add_column(f"{objective.name}\nsearch", justify="right", no_wrap=True)
        table.add_column("\nheld out", justify="right", style="bold", no_wrap=True)
    baselines = sorted(front.baselines, key=lambda point: point.number)
    known = {point.number for point in baselines}
    evolved = [p for p in (*front.front, *front.dominated) if p.number not in known and p.scores.get("test")]
    for points in (baselines, sorted(evolved, key=lambda point: point.number)):
        for point in points:
            cells = [
                with_error(score_of(point, split, objective.name))
                for objective in front.objectives
                for split in HELD_OUT
            ]
            mark = "* " if point.number == front.winner else "  "
            table.add_row(f"{mark}{point.label or f'candidate {point.number}'}", *cells)
        table.add_section()
    return table


def verdict(front: FrontView) -> None:
    """Says in words whether merging beat the parents, and searching the plain average, on held-out items."""
    points = {p.number: p for p in (*front.front, *front.baselines, *front.dominated)}
    winner = points[front.winner] if front.winner is not None else None
    objective = front.objectives[0].name
    mine = score_of(winner, "test", objective) if winner else None
    if mine is None:
        return
    parents = [p for p in front.baselines if p.kind in (CandidateKind.PARENT, CandidateKind.BASE)]
    average = [p for p in front.baselines if p.kind is CandidateKind.AVERAGE]
    for title, rivals in (("the best parent", parents), ("the plain average", average)):
        scores = [s for p in rivals if (s := score_of(p, "test", objective))]
        if scores:
            best = max(scores, key=lambda s: s.value)
            error = (mine.stderr**2 + best.stderr**2) ** 0.5
            console.print(
                f"  {objective}, held out: the winner reaches {mine.value:.3f}, {title} {best.value:.3f} "
                f"(difference {mine.value - best.value:+.3f} ± {error:.3f})"
            )


def export(client: Client, experiment: ExperimentView) -> ExportView:
    """Has the winner written as a checkpoint and waits for it."""
    # A quick search may find nothing better than a parent; what was printed above says so then.
    state = client.export(experiment.id, "winner", replace=True, even_a_parent=True)
    while state.status in ("queued", "running"):
        time.sleep(0.2)
        state = client.export_state(state.id)
    if state.status == "failed" or state.folder is None:
        raise DemoError(
            f"the export failed: {state.failure.cause if state.failure else 'no folder was written'}"
        )
    return state


def check_export(files: Path, exported: ExportView, front: FrontView) -> None:
    """Scores the exported checkpoint in a fresh process and compares with what was stored.

    Raises:
        DemoError: A score differs.
    """
    winner = next(p for p in (*front.front, *front.baselines, *front.dominated) if p.number == front.winner)
    tasks = {o.task: score_of(winner, "test", o.name) for o in front.objectives}
    command = [sys.executable, "-m", "examples.rescore", str(exported.folder), str(files / "tasks"), *tasks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"the exported checkpoint could not be scored: {done.stderr[-800:]}")
    again = json.loads(done.stdout.strip().splitlines()[-1])
    for task, stored in tasks.items():
        if stored is None:
            raise DemoError(f"the winner has no stored test score on {task}")
        console.print(
            f"  {task}: stored {stored.value:.6f}, plain lm-eval on the checkpoint {again[task]:.6f}"
        )
        if abs(stored.value - again[task]) > MOST_DIFFERENCE:
            raise DemoError(f"{task} scores {again[task]} from disk, but {stored.value} was stored")


def run_steps(options: DemoOptions, service: ServiceProcess, files: Path) -> ExperimentView:
    """Does everything that needs the service."""
    with Client(service.url) as client:
        step(3, "Submit an experiment over REST")
        experiment = submit(client, files, options)
        console.print(f"  {experiment.name}: {', '.join(o.name for o in experiment.objectives)}; "
                      f"{service.url}/e/{experiment.name}")  # fmt: skip
        step(4, "Watch it")
        ended = watch(client, experiment)
        step(5, "Look at the front")
        front = client.front(ended.id, "search")
        console.print(results_table(front))
        console.print(
            "  held out: the test split, read once; ± one standard error; * winner, by search and selection"
        )
        verdict(front)
        step(6, "Export the winner, load it in a fresh process, score it again")
        exported = export(client, ended)
        check_export(files, exported, front)
        step(7, "Where everything is")
        console.print(f"  checkpoint   {exported.folder}", soft_wrap=True)
    return ended


def demo(options: DemoOptions) -> None:
    """Runs all steps.

    Raises:
        DemoError: One of them did not do what it should.
    """
    started = time.monotonic()
    home = options.home.absolute()
    kind = "demo-quick" if options.quick else "demo"
    files = home / (f"{kind}-seed-{options.seed}" if options.seed else kind)
    step(1, "Make real parents: a tiny Llama base and experts fine-tuned from it")
    make_parents(files, seed=options.seed, quick=options.quick)
    step(2, "Start the service: SQLite, local Ray, loopback")
    service = start_service(home, port=options.port, workers=options.workers)
    console.print(f"  {service.url}")
    try:
        ended = run_steps(options, service, files)
    finally:
        service.stop()
    console.print(f"  parents      {files / 'parents'}", soft_wrap=True)
    console.print(f"  experiment   {files / 'experiment.yml'}", soft_wrap=True)
    console.print(f"  database     {home / 'evomerge.db'}", soft_wrap=True)
    home_option = "" if options.home == Path("evomerge-runs") else f" --home {options.home}"
    console.print(
        f"\nDone in {time.monotonic() - started:.0f} s. See it in the browser: run "
        f"[bold].venv/bin/evomerge serve{home_option}[/bold] (or `make serve`) and open "
        f"http://127.0.0.1:8000/e/{ended.name}",
        soft_wrap=True,
    )


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, default=Path("evomerge-runs"), help="where everything is kept")
    parser.add_argument("--port", type=int, default=8000, help="another one is taken where this is in use")
    parser.add_argument(
        "--seed", type=int, default=0, help="another training, other questions, another search"
    )
    parser.add_argument("--quick", action="store_true", help="reduced size: shows the way, not the result")
    parser.add_argument("--candidates", type=int, help="how many to evolve")
    parser.add_argument("--workers", type=int, help="how many workers; fills the machine by default")
    given = parser.parse_args()
    try:
        demo(DemoOptions(**vars(given)))
    except (DemoError, ClientError, ServiceDidNotStartError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. `make demo` begins again with the parents that are there already.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
