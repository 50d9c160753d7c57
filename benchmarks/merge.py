"""What merging costs: in the live model and to the disk, beside mergekit and the physical limit.

    python -m benchmarks.merge [--quick] [--only METHOD ...] [--alone] [--isa SET] [--record]

A base of 254 million parameters in bfloat16 and three parents (--quick: 22 million, as
always for methods that need singular vectors).  Every method is
measured in turns with a copy of the bytes that it must read and write, and with mergekit 0.1.5 by the
fastest of its ways, after a check that both give the same weights.  With a GPU, seven billion
parameters of random weights are merged there too.  --quick has mergekit merge once per method, and
takes two to three minutes.  --isa avx2 runs as on a processor without AVX-512, whose figures differ.
--record adds the tables to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.measuring.instruction_sets import ENVIRONMENTS as INSTRUCTION_SETS
from benchmarks.measuring.instruction_sets import instruction_set, run_again_with
from benchmarks.measuring.lapack import svd_seconds
from benchmarks.measuring.report import Record, print_result
from benchmarks.merge_gpu import measure_gpu
from benchmarks.merge_live import LiveBench, Timing, first_figures, live_figures, measure_live, print_markdown
from benchmarks.merge_models import CASES, LARGE, SMALL, TINY, Case, make_models, recipe_text
from benchmarks.merging.beside_copying import export_beside_copying
from benchmarks.merging.to_disk import DiskBench, Pair, memory_ratio, print_disk
from benchmarks.peers.environments import ENVIRONMENTS, PeerUnavailableError
from benchmarks.peers.mergekit_client import Mergekit

REPEATS, QUICK_REPEATS = 3, 2
_QUICK = ("linear", "task_arithmetic", "slerp", "ties", "dare_ties", "della", "breadcrumbs", "iso_c")


def cases_of(arguments: argparse.Namespace) -> list[Case]:
    """Returns the methods to measure."""
    wanted = arguments.only or (_QUICK if arguments.quick else [case.method for case in CASES])
    return [case for case in CASES if case.method in wanted]


def measure_disk(
    folders: Sequence[Path], work: Path, mergekit: Mergekit, live: Sequence[Timing], *, quick: bool
) -> tuple[dict[str, float], dict[str, float], list[Pair]]:
    """Measures merging to the disk; returns ratios, spreads and the pairs."""
    bench = DiskBench(folders, work, mergekit)
    linear, ties = (next(case for case in CASES if case.method == name) for name in ("linear", "ties"))
    tiny = make_models(work / "tiny", TINY)
    repeats = QUICK_REPEATS if quick else REPEATS
    known = next((one.theirs for one in live if one.case.method == "ties"), None)
    alone = [bench.streamed(linear, 1.0, repeats), bench.streamed(ties, 30.0, repeats, known)]
    whole = bench.whole("command_linear", "linear, whole command", linear, folders, repeats)
    memory = bench.memory(linear, whole)
    pairs = [*alone, whole, bench.whole("startup", "start-up (a tiny model)", linear, tiny, repeats)]
    print_disk(pairs, memory)
    ratios = {pair.name: pair.ratio for pair in pairs} | {"peak_memory": memory_ratio(memory)}
    spreads = {pair.name: pair.ours.spread for pair in pairs}
    spreads |= {f"mergekit_{pair.name}": pair.theirs.spread for pair in pairs}
    return ratios, spreads, pairs


def run(arguments: argparse.Namespace) -> None:
    """Measures everything that was asked for, and prints it."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    print(f"instruction set: {instruction_set()}")
    folders = _models(small=arguments.quick)
    more: dict[str, object] = {}
    if torch.cuda.is_available():
        more["gpu"] = measure_gpu("cuda", REPEATS)
    with (
        TemporaryDirectory(prefix="work-", dir=ENVIRONMENTS) as work,
        open_mergekit(Path(work), arguments) as mergekit,
    ):
        if mergekit is not None:
            ways = mergekit.choose_way(recipe_text(CASES[0], folders))
            print("mergekit, linear:", "; ".join(f"{way} {s:.2f} s" for way, s in ways.items()))
            print(f"compared with: {mergekit.way}; on the disk with: {mergekit.disk_way}")
        found = measure_all_live(arguments, mergekit)
        ratios, limits, spreads = (dict(table) for table in live_figures(found))
        if not arguments.only:
            beside = export_beside_copying(folders, Path(work), 2 * REPEATS)
            ratios |= beside[0]
            spreads |= beside[1]
        if mergekit is not None and not arguments.only:
            on_disk, spread, pairs = measure_disk(folders, Path(work), mergekit, found, quick=arguments.quick)
            ratios |= on_disk
            spreads |= spread
            more["startup_seconds"] = round(pairs[-1].ours.median, 3)
    lapack = {one.case.method: svd_seconds(SMALL, one.case.spectra) for one in found if one.case.spectra}
    for method, seconds in lapack.items():
        print(f"{method}: the decompositions alone take LAPACK {seconds:.2f} s")
    more |= first_figures(found, lapack)
    print_result(ratios, limit=limits, spread=spreads, instruction_set=instruction_set(), **more)


def measure_all_live(arguments: argparse.Namespace, mergekit: Mergekit | None) -> list[Timing]:
    """Measures the methods, each with the model of its size."""
    found: list[Timing] = []
    for small in (False, True):
        cases = [case for case in cases_of(arguments) if case.small == small]
        if cases:
            # What takes minutes to prepare loads its machine code with a model of a few rows.
            warm_up = make_models(ENVIRONMENTS / "models" / "tiny", TINY) if small else _models(small=True)
            bench = LiveBench(_models(small=small or arguments.quick), mergekit, warm_up)
            print(f"parents checked and in memory after {bench.seconds_to_load:.2f} s")
            repeats = QUICK_REPEATS if arguments.quick else REPEATS
            timings = measure_live(bench, cases, repeats, theirs_once=arguments.quick)
            print_markdown(timings, bench.owner.bytes // 2, instruction_set())
            found += timings
            del bench  # its memory is for the next one
    return found


def _models(*, small: bool) -> list[Path]:
    return make_models(ENVIRONMENTS / "models" / ("small" if small else "large"), SMALL if small else LARGE)


def open_mergekit(work: Path, arguments: argparse.Namespace) -> Mergekit | nullcontext[None]:
    """Starts mergekit; says so where it cannot be had."""
    if arguments.alone:
        return nullcontext()
    try:
        return Mergekit(work)
    except PeerUnavailableError as error:
        print(f"no ratios: {error}")
        return nullcontext()


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small model, fewer methods")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods, and nothing on the disk")
    parser.add_argument("--alone", action="store_true", help="without mergekit")
    parser.add_argument("--isa", choices=INSTRUCTION_SETS, default="native", help="use no more instructions")
    parser.add_argument("--record", action="store_true", help="add the tables to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    run_again_with(arguments.isa, "benchmarks.merge", sys.argv[1:])
    torch.set_num_threads(os.cpu_count() or 1)
    with Record() as record:
        run(arguments)
    if arguments.record:
        command = f"python -m benchmarks.merge {' '.join(sys.argv[1:])}".replace(" --record", "").strip()
        record.append_to(Path(__file__).with_name("RESULTS.md"), "merge", command)


if __name__ == "__main__":
    main()
