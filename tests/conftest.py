"""What all tests share: tiny parents on disk, and a quiet machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def tiny_parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A two-layer Llama base and two experts near it."""
    import torch

    from tests.tiny_models import save_tiny_model

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("parents")
    return {name: save_tiny_model(folder / name, seed) for seed, name in enumerate(("base", "left", "right"))}


@pytest.fixture(scope="session")
def word_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lm-eval task `words`, twelve items per split."""
    from tests.tiny_models import write_word_task

    return write_word_task(tmp_path_factory.mktemp("tasks"))
