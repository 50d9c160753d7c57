"""What requests may name of the service's machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.settings import Settings
from service.web.app import create_app
from tests.service.running import ControlledWorkforce, Steps, settings_in, spec_over

RECIPE = "{merge_method: linear, models: [{model: /etc/ssl, parameters: {weight: 1.0}}]}"


@pytest.fixture
def fenced(tmp_path: Path, paper_parents: dict[str, Path]) -> Iterator[Steps]:
    """A service that reads models and writes exports in one folder each."""
    models = Path(os.path.commonpath(paper_parents.values()))
    settings = settings_in(tmp_path / "home", model_roots=(models,), export_roots=(tmp_path / "out",))
    with TestClient(
        create_app(settings, workforce=ControlledWorkforce()), base_url="http://localhost"
    ) as http:
        yield Steps(http)


def test_parents_are_read_below_the_roots_alone(
    fenced: Steps, paper_parents: dict[str, Path], tmp_path: Path
) -> None:
    (paper_parents["left"] / "link").symlink_to("/etc")
    spec = spec_over(paper_parents) | {"base": "/etc/ssl"}
    spec["parents"] = [str(paper_parents["left"]), str(paper_parents["left"] / "link")]
    refused = fenced.http.post("/api/v1/experiments", json=spec)
    found = [(error["pointer"], error["code"]) for error in refused.json()["errors"]]
    assert (refused.status_code, found) == (422, [("/parents/1", "not_allowed"), ("/base", "not_allowed")])
    assert fenced.create(spec_over(paper_parents))["status"] == "queued"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"space": {"kind": "layer_stacking", "layers_of": ["/etc/ssl"]}}, "/space/layers_of/0"),
        ({"space": {"tokenizer_source": "/etc/ssl"}}, "/space/tokenizer_source"),
        ({"measures": [{"kind": "share", "parent": "/etc/ssl"}]}, "/measures/0/parent"),
        ({"constraints": [{"kind": "share", "parent": "org/x+/etc/ssl"}]}, "/constraints/0/parent"),
        ({"objectives": [{"task": "words", "parent": "~/../../etc/ssl"}]}, "/objectives/0/parent"),
        (
            {"baselines": {"recipes": {"mine": RECIPE}}},
            "/baselines/recipes/mine",
        ),
    ],
)
def test_models_are_read_below_the_roots_alone_wherever_a_spec_names_them(
    fenced: Steps, paper_parents: dict[str, Path], changes: dict[str, Any], pointer: str
) -> None:
    refused = fenced.http.post("/api/v1/experiments", json=spec_over(paper_parents) | changes)
    found = [(error["pointer"], error["code"]) for error in refused.json()["errors"]]
    assert (refused.status_code, found) == (422, [(pointer, "not_allowed")])


@pytest.mark.parametrize("target", ["/etc/cron.d/x", "{out}/../x", "/nowhere"])
def test_exports_are_written_below_the_roots_alone(
    fenced: Steps, paper_parents: dict[str, Path], tmp_path: Path, target: str
) -> None:
    fenced.create(spec_over(paper_parents))
    fenced.wait("small", "succeeded")
    address = "/api/v1/experiments/small/exports"
    wanted = {"candidate": 0, "even_a_parent": True}
    place = target.format(out=tmp_path / "out")
    refused = fenced.http.post(address, json={**wanted, "target": place})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_target")
    assert (
        fenced.http.post(address, json={**wanted, "target": str(tmp_path / "out" / "x")}).status_code == 202
    )


def test_without_roots_a_service_for_requests_keeps_to_home_and_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=tmp_path / "home")
    assert (settings.model_roots, settings.export_roots) == (None, None)  # the user's own commands
    assert settings.for_requests().model_roots == (tmp_path / "home", Path.home(), tmp_path)
    monkeypatch.setenv("EVOMERGE_EXPORT_ROOTS", f"/exports{os.pathsep}/more")
    assert Settings().for_requests().export_roots == (Path("/exports"), Path("/more"))
