"""A Ray that does not start at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workers.errors import PreparationError
from workers.pools import ray_cluster
from workers.pools.ray_cluster import MOST_STARTS, Cluster


class Sluggish:
    """Takes the place of Ray: it starts in time at the n-th try."""

    exceptions = SimpleNamespace(RayError=OSError)

    def __init__(self, tries: int) -> None:
        self.tries, self.started = tries, 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        self.started += 1
        if self.started < self.tries:
            raise Exception("The current node timed out during startup.\nSee the logs")

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def shutdown(self) -> None:
        pass


@pytest.fixture
def cluster_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(ray_cluster, "PAUSE", 0.0)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "none")  # so that the environment stays as it is

    def build(ray: Sluggish) -> Cluster:
        monkeypatch.setattr(ray_cluster, "_import_ray", lambda: ray)
        return Cluster(tmp_path)

    return build


def test_a_ray_that_starts_slowly_is_started_again(cluster_of: Any) -> None:
    ray = Sluggish(MOST_STARTS)
    cluster = cluster_of(ray)
    assert (ray.started, cluster.cpus) == (MOST_STARTS, 2)
    cluster.close()


def test_a_ray_that_never_starts_is_told_with_its_cause(cluster_of: Any) -> None:
    with pytest.raises(PreparationError, match=r"a Ray of our own \(The current node timed out"):
        cluster_of(Sluggish(MOST_STARTS + 1))
