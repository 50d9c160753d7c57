"""Loops are compiled once per machine, and the log says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_MERGE = """
import numpy as np
from workers.merging.fast.backends.numba_kernels import weighted_sum

out = np.zeros(3, np.float32)
run = weighted_sum(out, (np.array([1, 2, 3], np.float32),), np.array([2], np.float32), out[:0], np.float32(0))
run(0, 3)
print(out.tolist())
"""
_TOLD = "compiling merge loops"


def _merge(cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", _MERGE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_the_first_process_says_that_it_compiles_and_the_next_one_need_not(tmp_path: Path) -> None:
    first, second = _merge(tmp_path / "cache"), _merge(tmp_path / "cache")

    assert first.stdout == second.stdout == "[2.0, 4.0, 6.0]\n"
    assert first.stderr.count(_TOLD) == 1
    assert _TOLD not in second.stderr
    assert list((tmp_path / "cache").rglob("*.nbi"))
