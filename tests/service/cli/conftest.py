"""What the command line's tests share: services, and commands that ask them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.client.client import Client
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, serving, spec_over

Parents = dict[str, Path]


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def url(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[str]:
    with serving(tmp_path / "home", workforce) as found:
        yield found


@pytest.fixture
def evomerge(url: str) -> Command:
    return Command(url)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as found:
        yield found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, paper_parents: Parents) -> Iterator[Command]:
    """A service with the experiment `small`, which has succeeded."""
    with serving(tmp_path_factory.mktemp("finished"), ControlledWorkforce()) as url, Client(url) as client:
        client.create(spec_over(paper_parents))
        ended(client, "small")
        yield Command(url)


@pytest.fixture
def file(tmp_path: Path, paper_parents: Parents) -> Path:
    """An experiment's file whose parents are given relative to it."""
    for name, folder in paper_parents.items():
        shutil.copytree(folder, tmp_path / "models" / name)
    spec = spec_over(paper_parents, parents=["models/left", "./models/right"], base="models/base")
    path = tmp_path / "experiment.yml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path
