"""Resolves pyproject.toml into constraints.txt, with uv: `make lock`.

Versions that stand in constraints.txt stay as long as pyproject.toml allows them.  Arguments are passed on
to `uv pip compile`: `make lock LOCK="--upgrade-package torch"`, or `LOCK=--upgrade` for everything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
EXTRAS = (
    "worker",
    "nevergrad",
    "postgres",
    "qd",
    "quantize",
    "signing",
)  # not vLLM, which brings its own torch
PYTHON, PLATFORM = "3.11", "x86_64-manylinux_2_28"
CHOSEN_ELSEWHERE = re.compile(r"(nvidia-|cuda-|triton\b|setuptools\b)")
"""What only one of torch's builds brings, and what pip brings: the CPU build's environment has none of it."""

HEADER = """\
# Exact versions that work together; `make install` and the Dockerfiles install with
# `--constraint constraints.txt`, so that every machine gets the same environment.
# Written by `make lock`.  torch stands here without a build tag: the package index decides whether
# that is the CPU build or a CUDA one (README, "With a GPU").
"""


def main() -> None:
    """Writes constraints.txt; where uv finds no solution, its message is shown and the file stays."""
    with TemporaryDirectory() as folder:
        resolved = Path(folder) / "constraints.txt"
        shutil.copy(CONSTRAINTS, resolved)  # uv prefers the versions that its output file names
        ended = subprocess.run([*_command(resolved), *sys.argv[1:]], cwd=REPOSITORY, check=False)  # noqa: S603
        if ended.returncode:
            sys.exit(ended.returncode)
        pins = resolved.read_text(encoding="utf-8").splitlines()
    kept = [pin.split("+")[0] for pin in pins if not CHOSEN_ELSEWHERE.match(pin)]
    CONSTRAINTS.write_text(HEADER + "\n".join(kept) + "\n", encoding="utf-8")


def _command(resolved: Path) -> list[str]:
    uv = Path(sys.executable).with_name("uv")
    extras = [argument for extra in EXTRAS for argument in ("--extra", extra)]
    target = ["--python-version", PYTHON, "--python-platform", PLATFORM]
    plain = ["--quiet", "--no-header", "--no-annotate", "--output-file", str(resolved)]
    return [str(uv), "pip", "compile", "pyproject.toml", *extras, "--group", "dev", *target, *plain]


if __name__ == "__main__":
    main()
