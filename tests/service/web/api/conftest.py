"""A running service, asked in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.experiment.status import ENDED
from service.web.app import create_app
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over, wait_for


@pytest.fixture
def workforce() -> ControlledWorkforce:
    """Scores at once, unless a test closes its gate."""
    return ControlledWorkforce()


@pytest.fixture
def http(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[TestClient]:
    """A service of the test's own."""
    app = create_app(settings_in(tmp_path / "home"), workforce=workforce)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def steps(http: TestClient) -> Steps:
    """The usual requests, in few words."""
    return Steps(http)


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, paper_parents: dict[str, Path]
) -> Iterator[TestClient]:
    """A service with the experiment `small`, which has succeeded; tests only look at it."""
    settings = settings_in(tmp_path_factory.mktemp("finished"))
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        steps = Steps(http)
        steps.create(spec_over(paper_parents))
        wait_for(lambda: steps.experiment("small")["status"] in ENDED, "the experiment")
        yield http
