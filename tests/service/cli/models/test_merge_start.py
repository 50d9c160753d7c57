"""How `evomerge merge` starts: it imports what a merge needs, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

MERGE = """
import json, sys
from service.cli.program import main

sys.argv = ["evomerge", "merge", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
NOT_NEEDED = {
    # the compiler of loops, which small weighted sums do without, and what it brings along
    *("numba", "llvmlite"),
    # data and questions; transformers is needed: it says whether it would load what is written
    *("datasets", "lm_eval", "pandas"),
    # the service, and what searches
    *("fastapi", "starlette", "uvicorn"),
    *("sqlalchemy", "ray", "cma", "nevergrad", "ribs"),
}
"""The top-level modules that a merge of folders must not wait for."""


@pytest.mark.slow
def test_a_small_merge_imports_only_what_it_needs(tiny_parents: Mapping[str, Path], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(
        "merge_method: linear\nmodels:\n"
        + "".join(
            f"- {{model: {tiny_parents[name]}, parameters: {{weight: 1}}}}\n" for name in ("left", "right")
        )
    )

    said = subprocess.run(
        [sys.executable, "-c", MERGE, str(recipe), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )

    folder, imported = said.stdout.splitlines()
    assert folder == str(tmp_path / "out")
    assert NOT_NEEDED & set(json.loads(imported)) == set()
    assert "torch" in json.loads(imported)  # the list is one of what was imported indeed
