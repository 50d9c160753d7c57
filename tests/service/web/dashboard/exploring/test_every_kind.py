"""Every page answers for every kind of search: one objective or many, stacks, archives, failures, nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.experiment.status import ENDED
from service.store.repository import Repository
from service.web.dashboard.frame import PAGES
from tests.service.running import ControlledWorkforce, wait_for
from tests.service.small_experiments import add_experiment, small_spec, with_optimizer
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, served_in

DATA = ("columns.bin", "genes.json", "hover/0.json", "figures/front.json", "figures/hypervolume.json")
KINDS: dict[str, dict[str, Any]] = {
    "one-objective": {"objectives": [{"task": "words"}]},
    "several-methods": {"space": {"methods": ["linear", "task_arithmetic"], "layer_groups": 2}},
    "stacking": {"space": {"kind": "layer_stacking", "repeats": 2}},
    "joint": {"space": {"kind": "joint"}},
    "archive": with_optimizer("map_elites"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_in(tmp_path_factory.mktemp("kinds"), workforce=ControlledWorkforce()) as running:
        yield running


def everything_of(client: httpx.Client, key: str) -> None:
    for slug in PAGES:
        page = client.get(f"/e/{key}/{slug}".rstrip("/"))
        assert page.status_code == 200, f"{slug}: {page.text[:500]}"
    for path in DATA:
        assert client.get(f"/e/{key}/{path}").status_code == 200, path
    for path in ("compare?sel=0,1", "inside?sel=0,1", "complementarity?sel=1", "lineage?of=1", "c/0"):
        assert client.get(f"/e/{key}/{path}").status_code == 200, path


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_a_search_that_is_over(service: Served, kind: str, tmp_path: Path) -> None:
    row = add_experiment(service.database, small_spec(name=kind, **KINDS[kind]))

    def is_over() -> bool:
        with service.database.reading() as session:
            return Repository(session).experiment(row.id).status in ENDED

    wait_for(is_over, f"{kind} to end")
    with httpx.Client(base_url=service.url, timeout=60) as client:
        everything_of(client, str(row.id))


@pytest.mark.parametrize("objectives", [3, 6])
def test_every_page_of_a_search_with_many_objectives(service: Served, objectives: int) -> None:
    names = [f"skill {place}" for place in range(objectives)]
    played = PlayedExperiment(service.database, f"{objectives} objectives", objectives=names)
    played.play_baselines()
    played.play(30)
    played.fail_one()
    with httpx.Client(base_url=service.url, timeout=60) as client:
        everything_of(client, str(played.id))


def test_every_page_of_a_search_without_a_candidate(service: Served) -> None:
    nothing = PlayedExperiment(service.database, "nothing yet")
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for slug in PAGES:
            assert client.get(f"/e/{nothing.id}/{slug}".rstrip("/")).status_code == 200, slug
        for path in ("columns.bin", "genes.json", "figures/front.json"):
            assert client.get(f"/e/{nothing.id}/{path}").status_code == 200, path
        assert client.get(f"/e/{nothing.id}/compare?sel=0,1").status_code == 404
