"""Fixtures of the merging tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.workers.merging.small_parents import SmallParents

torch.set_num_threads(1)


@pytest.fixture
def parents(tmp_path: Path) -> SmallParents:
    """Three experts and a base, three layers deep, in a folder each."""
    return SmallParents(tmp_path)
