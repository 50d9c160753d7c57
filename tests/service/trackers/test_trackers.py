"""Experiments are shown in TensorBoard, MLflow and W&B as well, by the real libraries without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evomerge import Client, ClientError, optimize
from service.cli.installation.service_trackers import telling_trackers
from service.experiment.objectives import Objectives
from service.reports.views import ExperimentDetail
from service.trackers import TRACKERS, read_target, read_targets, tracked, tracking
from service.trackers.progress_file import Told
from service.trackers.tracker import Point, RunEnding, RunFacts, Tracker
from tests.conftest import REPOSITORY
from tests.service.running import ControlledWorkforce, ended, serving, settings_in, spec_over, wait_for
from tests.service.trackers.scripted_runs import tensorboard_scalars, text_of, wandb_history, wandb_records

Parents = dict[str, Path]
Steps = dict[str, list[tuple[int, float]]]
CANDIDATES = 12  # four baselines among them


@pytest.fixture
def workforce() -> ControlledWorkforce:
    return ControlledWorkforce()


@pytest.fixture
def home(tmp_path: Path, workforce: ControlledWorkforce, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tracking, "GLANCE", 0.05)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # MLflow keeps artifacts beside
    with serving(tmp_path / "home", workforce):
        yield tmp_path / "home"


def best_of(scores: Steps, experiment: ExperimentDetail) -> list[float]:
    weights = Objectives(tuple(experiment.objectives)).weights
    means = [
        (words * weights[0] + sums * weights[1]) / sum(weights)
        for (_, words), (_, sums) in zip(scores["search/words"], scores["search/sums"], strict=True)
    ]
    return [max(means[: count + 1]) for count in range(len(means))]


def check_points(found: Steps, experiment: ExperimentDetail) -> None:
    """Every candidate is a step of its own, and nothing is there twice."""
    assert [step for step, _ in found["search/words"]] == list(range(1, CANDIDATES + 1))
    assert sorted(value for _, value in found["candidate"]) == list(range(CANDIDATES))
    assert [value for _, value in found["best"]] == pytest.approx(best_of(found, experiment))
    last = experiment.progress.hypervolume[-1].hypervolume
    assert found["hypervolume"][-1][1] == pytest.approx(last)
    assert len({step for step, _ in found["hypervolume"]}) == len(found["hypervolume"])


def test_tensorboard_has_every_candidate_and_the_winner(
    home: Path, tmp_path: Path, paper_parents: Parents
) -> None:
    done = optimize(spec_over(paper_parents), home=home, log_to=[f"tensorboard:{tmp_path / 'tb'}"]).experiment
    (folder,) = (tmp_path / "tb").iterdir()
    assert folder.name.startswith("small-")
    found = tensorboard_scalars(folder)
    check_points(found, done)
    assert done.winner is not None
    assert found["winner"] == [(CANDIDATES, done.winner.number)]
    assert "test/words" in found
    assert "merge_method" in text_of(found["recipe.yml"][0][1])
    assert "# " in text_of(found["card.md"][0][1])
    assert "population: 4" in text_of(found["spec"][0][1])


@pytest.mark.slow
def test_mlflow_has_every_candidate_and_the_winner(
    home: Path, tmp_path: Path, paper_parents: Parents
) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'ml.db'}"
    done = optimize(spec_over(paper_parents), home=home, log_to=[f"mlflow:{store}"]).experiment
    client = MlflowClient(store)
    found = client.get_experiment_by_name("evomerge")
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    names = ("search/words", "search/sums", "candidate", "best", "hypervolume")
    points = {
        name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)] for name in names
    }
    check_points({name: sorted(each) for name, each in points.items()}, done)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.population"] == "4"
    assert run.data.tags["evomerge.experiment"] == str(done.id)
    assert done.winner is not None
    assert run.data.metrics["winner"] == done.winner.number
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert kept == {"spec.yml", "recipe.yml", "card.md"}


@pytest.mark.slow
def test_wandb_has_every_candidate_and_the_winner(home: Path, tmp_path: Path, paper_parents: Parents) -> None:
    done = optimize(spec_over(paper_parents), home=home, log_to=["wandb:merges"]).experiment
    check_points(wandb_history(tmp_path), done)
    records = wandb_records(tmp_path)
    (run,) = {(r.run.run_id, r.run.project, r.run.display_name) for r in records if r.HasField("run")}
    assert run == (done.id.hex, "merges", "small")
    config = {item.key: item.value_json for r in records for item in r.run.config.update}
    assert '"population":4' in config["optimizer"].replace(" ", "")
    (artifact,) = [
        r.request.log_artifact.artifact for r in records if r.request.HasField("log_artifact")
    ] or [r.artifact for r in records if r.HasField("artifact")]
    assert {entry.path for entry in artifact.manifest.contents} == {"recipe.yml", "card.md"}


@pytest.mark.parametrize(
    "kind",
    [
        "tensorboard",
        pytest.param("mlflow", marks=pytest.mark.slow),
        pytest.param("wandb", marks=pytest.mark.slow),
    ],
)
def test_a_restart_goes_on_in_the_same_run_without_doubling_points(
    kind: str, home: Path, tmp_path: Path, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    places = {
        "tensorboard": str(tmp_path / "tb"),
        "mlflow": f"sqlite:///{tmp_path / 'ml.db'}",
        "wandb": "merges",
    }
    targets = [read_target(f"{kind}:{places[kind]}")]
    workforce.pace = 0.05
    said: list[str] = []
    with client_of(home) as client:
        key = str(client.create(spec_over(paper_parents)).id)
        with tracked(client, key, targets, home, said.append):
            wait_for(lambda: client.experiment(key).progress.settled >= 5, "a part to be told")
        done = ended(client, key)
        for _ in range(2):  # the second time there is nothing left to tell
            with tracked(client, key, targets, home, said.append):
                time.sleep(0.2)
    assert said == []
    readers: dict[str, Callable[[], Steps]] = {
        "tensorboard": lambda: tensorboard_scalars(next((tmp_path / "tb").iterdir())),
        "mlflow": lambda: mlflow_points(f"sqlite:///{tmp_path / 'ml.db'}"),
        "wandb": lambda: wandb_history(tmp_path),
    }
    check_points(readers[kind](), done)


def mlflow_points(store: str) -> Steps:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    (run,) = client.search_runs(["1"])
    names = ("search/words", "search/sums", "candidate", "best", "hypervolume")
    return {
        n: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)) for n in names
    }


def client_of(home: Path) -> Client:
    from service.cli.installation.announcement import announced_url

    return Client(announced_url(home))


def test_a_crash_before_progress_was_noted_doubles_nothing(
    home: Path, tmp_path: Path, paper_parents: Parents
) -> None:
    target = f"tensorboard:{tmp_path / 'tb'}"
    done = optimize(spec_over(paper_parents), home=home, log_to=[target]).experiment
    (file,) = (home / "trackers").rglob("*.json")
    told = Told.model_validate_json(file.read_text())
    assert told.ended
    file.write_text(Told(run=told.run).model_dump_json())
    with client_of(home) as client, tracked(client, "small", read_targets([target]), home, pytest.fail):
        time.sleep(0.2)
    check_points(tensorboard_scalars(next((tmp_path / "tb").iterdir())), done)


class Broken(Tracker):
    """Fails, or takes for ever."""

    run = "broken"

    def __init__(self, facts: RunFacts, place: str) -> None:
        self.place = place

    def log(self, points: list[Point]) -> None:
        """Fails."""
        if self.place == "slow":
            time.sleep(3600)
        raise OSError("the disk is full\nand more")

    def end(self, ending: RunEnding) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = TRACKERS["mlflow"]._replace(module=__name__, name="Broken")
    monkeypatch.setitem(TRACKERS, "mlflow", entry)


@pytest.mark.usefixtures("broken")
def test_a_failing_tracker_is_told_once_and_changes_nothing(
    home: Path, paper_parents: Parents, capsys: pytest.CaptureFixture[str]
) -> None:
    result = optimize(spec_over(paper_parents), home=home, log_to=["mlflow:fails"])
    assert result.winner is not None
    said = capsys.readouterr().err
    assert (
        said.count("Warning: mlflow:fails failed (OSError: the disk is full); small goes on without it") == 1
    )


@pytest.mark.usefixtures("broken")
def test_a_tracker_that_hangs_is_left_behind(
    home: Path, paper_parents: Parents, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "LAST_SECONDS", 0.2)
    assert optimize(spec_over(paper_parents), home=home, log_to=["mlflow:slow"]).winner is not None
    assert "mlflow:slow has not taken all within" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("comet", "'comet' names no tracker; there are: mlflow, tensorboard, wandb"),
        ("tensorboard", "'tensorboard' does not say where; write a folder: tensorboard:FOLDER"),
    ],
)
def test_a_tracker_that_cannot_be_used_is_refused_before_anything_begins(
    text: str, told: str, home: Path, paper_parents: Parents
) -> None:
    with pytest.raises(ClientError, match=told):
        optimize(spec_over(paper_parents), home=home, log_to=[text])
    with client_of(home) as client:
        assert client.experiments().items == []


def test_a_tracker_that_is_not_installed_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = TRACKERS["wandb"]._replace(package="no_such_package")
    monkeypatch.setitem(TRACKERS, "wandb", missing)
    with pytest.raises(ClientError, match=r'wandb is not installed; .*pip install "evomerge\[wandb\]"'):
        read_target("wandb")


def test_wandb_never_asks_for_a_key(tmp_path: Path) -> None:
    code = (
        "from uuid import UUID; from service.trackers import read_target\n"
        "from service.trackers.tracker import RunFacts\n"
        "read_target('wandb').open(RunFacts(UUID(int=1), 'small', {}, 1, None))"
    )
    keep = {name: text for name, text in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keep | {"NETRC": str(tmp_path / "netrc"), "HOME": str(tmp_path), "WANDB_MODE": "online"},
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "NotLoggedInError: no key for W&B; call `wandb login`" in done.stderr


def test_a_service_shows_every_experiment_in_its_trackers(
    tmp_path: Path, paper_parents: Parents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "GLANCE", 0.05)
    monkeypatch.setattr("service.cli.installation.service_trackers.GLANCE", 0.05)
    home, targets = tmp_path / "home", read_targets((), f"tensorboard:{tmp_path / 'tb'}")
    with serving(home, ControlledWorkforce()) as url, telling_trackers(url, settings_in(home), targets):
        with Client(url) as client:
            for name in ("one", "two"):
                client.create(spec_over(paper_parents, name=name))
                ended(client, name)
        wait_for(lambda: len(list((tmp_path / "tb").glob("*"))) == 2, "both to be shown")
        wait_for(
            lambda: not any(t.name == "evomerge-tensorboard" for t in threading.enumerate()),
            "both to be told",
        )
    for folder in (tmp_path / "tb").iterdir():
        assert len(tensorboard_scalars(folder)["candidate"]) == CANDIDATES
