"""What the service's tests share: databases of both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import (
    database,
    database_url,
    new_postgres,
    postgres_server,
    sqlite_database,
    sqlite_url,
)
from tests.service.paper_checkpoints import write_checkpoint

__all__ = ["database", "database_url", "new_postgres", "postgres_server", "sqlite_database", "sqlite_url"]


@pytest.fixture(scope="session")
def paper_parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base and two parents that can be inspected, but hold nothing but zeros."""
    folder = tmp_path_factory.mktemp("paper")
    return {name: write_checkpoint(folder / name) for name in ("base", "left", "right")}
