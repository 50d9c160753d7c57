"""A Hub of our own for the tests that push and read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.hub_server import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A server that speaks as the Hub does, with nothing on it."""
    with HubServer() as server:
        yield server
