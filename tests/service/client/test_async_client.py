"""The client with its methods awaited, and its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from evomerge import AsyncClient
from service.client.client import Client
from service.client.errors import ApiError
from service.experiment.status import ExperimentStatus
from tests.service.running import ControlledWorkforce, ended, serving, spec_over

Parents = dict[str, Path]


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def client(tmp_path: Path, workforce: ControlledWorkforce) -> Iterator[Client]:
    with serving(tmp_path, workforce) as url, Client(url) as found:
        yield found


def test_an_experiment_is_followed_beside_other_work(
    client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    async def follow(asynchronous: AsyncClient) -> list[str]:
        return [event.kind async for event in asynchronous.follow("small")]

    async def steer() -> tuple[list[str], str]:
        async with AsyncClient(client.url) as asynchronous:
            workforce.gate.clear()
            await asynchronous.create(spec_over(paper_parents))
            following = asyncio.create_task(follow(asynchronous))
            view = await asynchronous.experiment("small")
            workforce.gate.set()
            return await following, view.name

    kinds, name = asyncio.run(steer())
    assert name == "small"
    assert kinds[-1] == "experiment.status"
    assert kinds.count("candidate.settled") == 12


def test_refusals_are_raised_where_they_are_awaited(client: Client) -> None:
    async def ask() -> None:
        async with AsyncClient(client.url) as asynchronous:
            assert "experiments" in dir(asynchronous)
            with pytest.raises(AttributeError, match="no method 'nothing'"):
                asynchronous.nothing  # noqa: B018 - it is looked for
            await asynchronous.experiment("nowhere")

    with pytest.raises(ApiError, match="nowhere"):
        asyncio.run(ask())


def test_candidates_are_a_data_frame(client: Client, paper_parents: Parents) -> None:
    client.create(spec_over(paper_parents))
    assert ended(client, "small").status is ExperimentStatus.SUCCEEDED
    assert client.to_polars("small")["number"].to_list() == list(client.to_pandas("small").index)
    frame = client.to_pandas("small")
    assert len(frame) == 12
    assert frame.index.name == "number"
    assert frame["search:words"].between(0, 1).all()
