"""`python -m examples.language_and_vision OUT_DIR`: makes parents, pictures, tasks and an experiment."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from transformers.utils import logging

from examples.language_and_vision import make_everything


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="gets parents/, tasks/ and experiment.yml")
    parser.add_argument("--seed", type=int, default=0, help="decides pictures, splits and weights")
    options = parser.parse_args()
    logging.disable_progress_bar()
    console = Console()
    with console.status("training") as status:
        files = make_everything(
            options.out, options.seed, on_progress=lambda name: status.update(f"training {name}")
        )
    for path in (files.base, files.vision, files.language, files.tasks, files.experiment):
        console.print(str(path), soft_wrap=True)


if __name__ == "__main__":
    main()
