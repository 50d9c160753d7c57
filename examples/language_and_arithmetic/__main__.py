"""`python -m examples.language_and_arithmetic OUT_DIR`: makes the parents and the tasks."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers.utils import logging

from examples.language_and_arithmetic import make_everything


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="gets parents/ and tasks/")
    parser.add_argument("--seed", type=int, default=0, help="decides what is held out, and the weights")
    parser.add_argument("--quick", action="store_true", help="train for a moment only; for tests")
    options = parser.parse_args()
    logging.disable_progress_bar()  # transformers' bars would run through ours
    console = Console()
    columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def on_progress(name: str, done: int, steps: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=steps)
            progress.update(bars[name], completed=done)

        files = make_everything(options.out, options.seed, quick=options.quick, on_progress=on_progress)
    if not bars:
        console.print("all there already, made with the same settings")
    for folder in (files.base, *files.experts.values(), files.tasks):
        console.print(str(folder), soft_wrap=True)


if __name__ == "__main__":
    main()
