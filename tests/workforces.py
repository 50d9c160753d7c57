"""Workforces to test with: one Ray for the whole session, because it takes seconds to start.

Import the fixtures where they are needed: `from tests.workforces import ray_pool, workforce`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workers.pools.inline_pool import InlinePool
from workers.pools.pool import WORKFORCES
from workers.pools.ray_pool import RayPool
from workers.protocol.messages import Workforce


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayPool]:
    """The session's only Ray.  It starts when something is first asked of it."""
    pool = RayPool(tmp_path_factory.mktemp("ray"))
    yield pool
    pool.close()


@pytest.fixture
def ray_pool(ray_session: RayPool) -> Iterator[RayPool]:
    """The session's Ray pool, with nothing under way."""
    yield ray_session
    ray_session.drop()


@pytest.fixture
def inline_pool() -> Iterator[InlinePool]:
    """A pool of one worker in this process."""
    pool = InlinePool(threads=1)
    yield pool
    pool.close()


@pytest.fixture(params=sorted(WORKFORCES))
def workforce(request: pytest.FixtureRequest) -> Workforce:
    """Every kind of workforce in turn."""
    pool: Workforce = request.getfixturevalue(f"{request.param}_pool")
    return pool
