from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over, wait_for

REPOSITORY = Path(__file__).parents[3]
WITHOUT_MODELS = """
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "lm_eval", "ray", "datasets", "accelerate"}:
            raise ImportError(f"{name} is not installed here")
        return None

sys.meta_path.insert(0, Forbidden())
import service.cli.program  # the command line too
from pathlib import Path
from starlette.testclient import TestClient
from service.web.app import create_app
from tests.service.paper_checkpoints import write_checkpoint
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over

folder = Path(sys.argv[1])
parents = {name: write_checkpoint(folder / name) for name in ("base", "left", "right")}
app = create_app(settings_in(folder / "home"), workforce=ControlledWorkforce())
with TestClient(app, base_url="http://localhost") as http:
    steps = Steps(http)
    steps.create(spec_over(parents))
    print(steps.wait("small", "succeeded", "failed")["status"])
    export = http.post("/api/v1/experiments/small/exports", json={}).json()
    print(steps.exported(export["id"])["status"])
    print(http.get("/e/small").status_code)
"""


@pytest.mark.slow
def test_the_controller_works_where_no_model_library_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MODELS, str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["succeeded", "succeeded", "200"]


def test_the_service_works_on_either_database(
    database_url: str, tmp_path: Path, paper_parents: dict[str, Path]
) -> None:
    app = create_app(settings_in(tmp_path, database_url=database_url), workforce=ControlledWorkforce())
    with TestClient(app, base_url="http://localhost") as http:
        steps = Steps(http)
        for _ in range(2):
            answer = http.post(
                "/api/v1/experiments", json=spec_over(paper_parents), headers={"Idempotency-Key": "k"}
            )
            assert answer.status_code == 201
        assert answer.headers["Idempotency-Replayed"] == "true"
        steps.wait("small", "succeeded")
        assert "stream.ended" in http.get("/api/v1/experiments/small/events/stream").text
        assert steps.get("/api/v1/experiments/small/front?split=test")["front"]
        table = http.get("/api/v1/experiments/small/candidates", headers={"Accept": "text/csv"}).text
        assert table.count("\n") == 13
        export = http.post("/api/v1/experiments/small/exports", json={}).json()
        assert steps.exported(export["id"])["status"] == "succeeded"


def test_a_service_that_runs_is_ready(tmp_path: Path) -> None:
    with TestClient(
        create_app(settings_in(tmp_path), workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        assert http.get("/readyz").json() == {"status": "ok"}
        assert http.get("/version").json()["name"] == "evomerge"


def test_a_service_whose_runner_died_is_not_ready(tmp_path: Path) -> None:
    app = create_app(settings_in(tmp_path), workforce=ControlledWorkforce())
    with TestClient(app, base_url="http://localhost") as http:
        app.state.services.runner.stop()
        answer = http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "runs experiments" in answer.json()["detail"]


def test_a_service_whose_workers_are_away_is_not_ready(tmp_path: Path) -> None:
    workforce = ControlledWorkforce()
    workforce.trouble = "Ray's raylet has ended"
    app = create_app(settings_in(tmp_path), workforce=workforce)
    with TestClient(app, base_url="http://localhost") as http:
        answer = http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "raylet" in answer.json()["detail"]


def test_a_restarted_service_goes_on_where_it_was(tmp_path: Path, paper_parents: dict[str, Path]) -> None:
    settings, workforce = settings_in(tmp_path), ControlledWorkforce()
    workforce.gate.clear()
    with TestClient(create_app(settings, workforce=workforce), base_url="http://localhost") as http:
        Steps(http).create(spec_over(paper_parents))
        Steps(http).wait("small", "running")
    workforce.gate.set()
    with TestClient(create_app(settings, workforce=workforce), base_url="http://localhost") as http:
        steps = Steps(http)
        wait_for(lambda: steps.experiment("small")["status"] == "succeeded", "the experiment to go on")


def test_a_workforce_that_was_lent_is_not_closed(tmp_path: Path) -> None:
    class Lent(ControlledWorkforce):
        closed = False

        def close(self) -> None:
            self.closed = True

    workforce = Lent()
    with TestClient(create_app(settings_in(tmp_path), workforce=workforce)):
        pass
    assert not workforce.closed
