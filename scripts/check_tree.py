"""Checks the rules that no linter has: lengths, names, the map.

Run by `make check`.  Exit status 1 and one line per finding when something is wrong.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_LINES = 500
MOST_MODULES = 15
CATALOGUES = {"service/optimizers", "workers/merging/methods"}  # one entry per module
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}
PACKAGES = (
    "evomerge", "search_spaces", "evaluators", "workers", "service", "migrations", "benchmarks", "examples"
)  # fmt: skip


def tracked(suffixes: tuple[str, ...]) -> list[Path]:
    """Returns the files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is on the path
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        ROOT / line
        for line in listed.stdout.splitlines()
        if line.endswith(suffixes) and (ROOT / line).is_file()
    ]


def long_files() -> Iterator[str]:
    """Yields files that hold more than one concept, to go by their length."""
    for path in tracked((".py", ".js", ".css", ".html", ".j2")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            yield f"{path.relative_to(ROOT)}: {lines} lines, more than {MOST_LINES}; split it by concept"


def full_folders() -> Iterator[str]:
    """Yields folders that hold more modules than can be seen at a glance, unless they are catalogues."""
    modules = (path.relative_to(ROOT) for path in tracked((".py",)) if path.stem != "__init__")
    for folder, count in sorted(Counter(path.parent.as_posix() for path in modules).items()):
        if count > MOST_MODULES and folder not in CATALOGUES:
            yield f"{folder}: {count} modules, more than {MOST_MODULES}; sort them into folders by concept"


def empty_names() -> Iterator[str]:
    """Yields modules whose name says nothing."""
    for path in tracked((".py",)):
        if path.stem in EMPTY_NAMES or path.parent.name in EMPTY_NAMES:
            yield f"{path.relative_to(ROOT)}: the name does not say what is inside"


def unmapped_modules() -> Iterator[str]:
    """Yields disagreements between ARCHITECTURE.md's map and the tree."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for name in sorted(set(re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w./]+\.py)`", text))):
        if not (ROOT / name).exists():
            yield f"ARCHITECTURE.md names {name}, which does not exist"
    for package in PACKAGES:
        if not re.search(rf"`?{package}/", text):
            yield f"ARCHITECTURE.md does not name {package}/"
    for path in sorted((ROOT / "service").glob("*.py")) + sorted((ROOT / "workers").glob("*.py")):
        if path.stem != "__init__" and path.name not in text:
            yield f"ARCHITECTURE.md does not name {path.relative_to(ROOT)}"


def main() -> int:
    """Prints every finding."""
    findings = [*long_files(), *full_folders(), *empty_names(), *unmapped_modules()]
    for finding in findings:
        sys.stderr.write(finding + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
