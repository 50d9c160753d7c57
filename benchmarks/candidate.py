"""What a candidate costs and where its time goes; the same recipe merged by mergekit.

    python -m benchmarks.candidate [--quick]

Runs the demo's experiment through the service (SQLite, local Ray, REST) and divides each
candidate's seconds into ask, merge, evaluate, store, tell and dispatch.  Then merges the winner's
recipe with mergekit 0.1.5, disk to disk, imports not counted, and with our live model, in turns,
after checking that both give the same weights.  Ratio = mergekit's seconds over ours.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import yaml
from safetensors.torch import load_file

from benchmarks.measuring.report import Samples, interleaved, print_result, print_table
from benchmarks.peers.environments import PeerProcess, PeerUnavailableError, peer_python
from evomerge import Client
from examples.demo import DemoOptions, make_parents, submit, watch
from examples.service_process import start_service
from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.experiment.candidate import CandidateKind
from service.reports.views import CandidateView, TimingsView
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.hub.parent_files import fetch_parent
from workers.checkpoints.inspection import inspect_checkpoint
from workers.merging.fast.caches import Caches
from workers.merging.plan import plan_merge
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents, cache_limit

PARTS = tuple(TimingsView.model_fields)
OURS = ("ask", "dispatch", "store", "tell")
MERGEKIT = ("mergekit==0.1.5",)
FILES = Path(__file__).parent.parent / ".bench"


def run_experiment(files: Path, *, quick: bool) -> tuple[list[CandidateView], str]:
    """Runs the demo's experiment; returns its evolved candidates and the best one's recipe."""
    with tempfile.TemporaryDirectory(prefix="evomerge-bench-") as folder:
        options = DemoOptions(home=Path(folder), quick=quick, candidates=24 if quick else 120)
        service = start_service(options.home, parents=files)
        try:
            with Client(service.url) as client:
                ended = watch(client, submit(client, files, options))
                found = [
                    c
                    for c in client.all_candidates(ended.id)
                    if c.kind is CandidateKind.EVOLVED and c.status == "scored"
                ]
                return found, client.recipe(ended.id, ended.progress.best_number or found[0].number)
        finally:
            service.stop()


def print_parts(found: list[CandidateView]) -> float:
    """Prints where the time goes; returns the controller's seconds per candidate (median)."""
    rows = []
    for part in PARTS:
        values = sorted(getattr(c.timings, part) for c in found)
        rows.append((part, *(f"{v * 1000:.2f}" for v in (median(values), values[len(values) * 9 // 10]))))
    overhead = float(median(sum(getattr(c.timings, part) for part in OURS) for c in found))
    rows.append(("all but merge and evaluate", f"{overhead * 1000:.2f}", ""))
    print_table(f"Milliseconds per candidate, {len(found)} candidates", ("part", "median", "90 %"), rows)
    return overhead


def live_merge(recipe: Recipe) -> tuple[Callable[[], float], Callable[[], dict[str, torch.Tensor]]]:
    """Returns a run that overwrites a live model with the recipe, and a look at its weights."""
    layouts = {parent: inspect_checkpoint(parent, fetch_parent(parent)) for parent in recipe.all_parents}
    parents = ResidentParents(layouts)
    live = LiveModel(plan_merge(recipe, layouts).owner, caches=Caches(cache_limit()))
    other, last = average_of(recipe), {}

    def merge(wanted: Recipe) -> float:
        start = perf_counter()
        plan = plan_merge(wanted, layouts)
        config = merged_config(plan.owner, wanted, layouts)
        last["model"] = live.overwrite(config, plan, parents.sources)
        return perf_counter() - start

    def run() -> float:
        merge(other)  # what is there already would not be made again
        return merge(recipe)

    return run, lambda: dict(last["model"].state_dict())


def average_of(recipe: Recipe) -> Recipe:
    """Returns another recipe of the same parents, in which every tensor is made anew."""
    models = [{"model": str(parent), "parameters": {"weight": 1.0}} for parent in recipe.merged_parents]
    content = {"merge_method": "linear", "models": models, "dtype": recipe.dtype}
    return read_recipe(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def copy_seconds(recipe: Recipe) -> float:
    """Returns the physical limit: torch copying the bytes that one pass reads and writes."""
    size = sum(inspect_checkpoint(p, fetch_parent(p)).bytes for p in recipe.all_parents)
    source = torch.zeros(size // 4)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(20):
        start = perf_counter()
        target.copy_(source)
        seconds.append(perf_counter() - start)
    return median(seconds)


def against_mergekit(text: str, repeats: int) -> tuple[Samples, Samples]:
    """Merges the recipe with both, in turns.

    Raises:
        PeerUnavailableError: mergekit cannot be installed here.
        ValueError: The two give different weights.
    """
    recipe = read_recipe(text)
    ours, weights = live_merge(recipe)
    with tempfile.TemporaryDirectory(prefix="evomerge-bench-") as folder:
        written = Path(folder) / "recipe.yml"
        written.write_text(without_tokenizer(text))
        request = {"recipe": str(written), "out": f"{folder}/merged"}
        script = Path(__file__).parent / "peers" / "mergekit_peer.py"
        with PeerProcess(peer_python("mergekit", MERGEKIT), script) as peer:
            ours()
            peer.ask(request)
            check_equal(weights(), load_file(f"{folder}/merged/model.safetensors"))
            mine, theirs = interleaved(repeats, ours, lambda: float(peer.ask(request)["seconds"]))
    return mine, theirs


def without_tokenizer(text: str) -> str:
    """Drops the choice of a tokenizer: parents share theirs, and mergekit would take time to compare them."""
    content = yaml.safe_load(text)
    content.pop("tokenizer_source", None)
    return yaml.safe_dump(content, sort_keys=False)


def check_equal(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Refuses to compare the speed of two different results."""
    for name, tensor in theirs.items():
        if not torch.allclose(mine[name].float(), tensor.float(), rtol=1e-4, atol=1e-5):
            furthest = float((mine[name].float() - tensor.float()).abs().max())
            raise ValueError(f"{name} differs by up to {furthest:g}: the two do not merge the same recipe")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer candidates and repeats, smaller parents")
    quick = parser.parse_args().quick
    files = FILES / ("demo-quick" if quick else "demo")
    make_parents(files, quick=quick)
    found, text = run_experiment(files, quick=quick)
    overhead = print_parts(found)
    limit = {"controller_seconds_goal": 0.02, "copy_seconds": round(copy_seconds(read_recipe(text)), 6)}
    try:
        mine, theirs = against_mergekit(text, 5 if quick else 40)
    except PeerUnavailableError as error:
        print(f"no ratio: {error}")
        print_result({}, limit=limit, spread={}, controller_seconds=round(overhead, 5))
        return
    print_table(
        "Merging the best candidate's recipe (seconds, median)",
        ("path", "seconds", "spread"),
        [("mergekit 0.1.5, disk to disk", f"{theirs.median:.4f}", f"{theirs.spread:.0%}"),
         ("evomerge, into the live model", f"{mine.median:.4f}", f"{mine.spread:.0%}")],
    )  # fmt: skip
    print_result(
        {"merge_vs_mergekit": theirs.median / mine.median, "controller_budget": 0.02 / overhead},
        limit=limit,
        spread={"mergekit": theirs.spread, "evomerge": mine.spread},
        controller_seconds=round(overhead, 5),
    )


if __name__ == "__main__":
    main()
