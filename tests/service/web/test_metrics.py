"""What Prometheus reads."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over


def samples(http: TestClient) -> dict[str, float]:
    """Returns every value by its name and labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{dict(sorted(sample.labels.items())) or ''}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_tell_of_experiments_workers_and_requests(
    tmp_path: Path, paper_parents: dict[str, Path]
) -> None:
    force = ControlledWorkforce()
    force.gate.clear()
    settings = settings_in(tmp_path)
    with TestClient(create_app(settings, workforce=force), base_url="http://localhost") as http:
        steps = Steps(http)
        steps.create(spec_over(paper_parents))
        steps.wait("small", "running")
        found = samples(http)
        assert found["evomerge_experiments{'status': 'running'}"] == 1
        assert found["evomerge_experiments{'status': 'succeeded'}"] == 0
        assert found["evomerge_experiments_limit"] == 1
        assert found["evomerge_troubles"] == 0
        assert "evomerge_workers{'experiment': 'small'}" in found
        assert found["evomerge_http_requests_total{'method': 'POST', 'status': '201'}"] == 1
        force.gate.set()
        steps.wait("small", "succeeded")
        assert samples(http)["evomerge_experiments{'status': 'succeeded'}"] == 1
