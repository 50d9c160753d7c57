"""Prints every installed distribution with its exact version: the project's constraints.txt."""

from __future__ import annotations

import sys
from importlib.metadata import distributions

HEADER = """\
# Exact versions that work together; `make install` and the Dockerfiles install with
# `--constraint constraints.txt`, so that every machine gets the same environment.
# Written by `make lock`.  torch stands here without a build tag: the package index decides whether
# that is the CPU build or a CUDA one (README, "With a GPU")."""


def main() -> None:
    """Writes one line per distribution, the project itself left out, without local build tags."""
    versions = {
        d.metadata["Name"].lower().replace("_", "-"): d.version.split("+")[0] for d in distributions()
    }
    for name in ("evomerge", "pip", "setuptools", "wheel"):
        versions.pop(name, None)
    sys.stdout.write("\n".join([HEADER, *(f"{name}=={versions[name]}" for name in sorted(versions))]) + "\n")


if __name__ == "__main__":
    main()
