"""What every command has; checkpoints; the service as a process; doctor."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import COMMANDS, app
from service.cli.terminal.output import clean
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, reached, serving, spec_over, wait_for
from workers.errors import ExportError

REPOSITORY = Path(__file__).parents[3]
Parents = dict[str, Path]


# What every command has


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself_with_an_example(name: str, option: str) -> None:
    text = Command(None)(name, option)
    assert "Usage: " in text
    assert f"  evomerge {name}" in text.split("Examples:")[1]


def test_the_command_alone_lists_all_commands() -> None:
    text = Command(None)("--help")
    assert all(f"\n  {name} " in text for name in COMMANDS)
    text = Command(None)("--help").split("Exit codes:")[1]
    assert re.findall(r"^  (\d+) ", text, flags=re.MULTILINE) == [str(int(code)) for code in Exit]
    assert Command(None)("--version").startswith("evomerge 0.")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert "No such command" in Command(None)("evolve", code=Exit.USAGE)


@pytest.mark.parametrize(
    "arguments", [("list",), ("status", "x"), ("watch", "x"), ("front", "x"), ("pause", "x"), ("export", "x")]
)
def test_without_a_service_the_command_says_how_to_start_one(arguments: Sequence[str]) -> None:
    said = Command("http://127.0.0.1:9")(*arguments, code=Exit.UNREACHABLE)
    assert "evomerge serve" in said
    assert "Traceback" not in said


def test_a_traceback_is_shown_only_on_demand() -> None:
    environment = {"EVOMERGE_URL": "http://127.0.0.1:9"}
    result = CliRunner().invoke(app, ["--debug", "list"], env=environment)
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)


def test_an_unknown_experiment_is_not_found(finished: Command) -> None:
    for arguments in (("status", "unknown"), ("front", "unknown"), ("recipe", "small", "99")):
        assert "there is no" in finished(*arguments, code=Exit.NOT_FOUND)


def test_a_wrong_key_is_told(tmp_path: Path, workforce: ControlledWorkforce) -> None:
    with serving(tmp_path, workforce, api_key="secret") as url:
        evomerge = Command(url)
        assert "EVOMERGE_API_KEY" in evomerge("list", code=Exit.UNAUTHORIZED)
        assert evomerge("list", "--api-key", "secret", "--json")


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b]8;;http://evil\x07b\u202ec\x9bd\te\nf") == "a�]8;;http://evil�b�c�d\te\nf"


# Checkpoints


def test_a_candidate_is_exported_and_waited_for(
    evomerge: Command, client: Client, file: Path, tmp_path: Path
) -> None:
    evomerge("run", file)
    out = tmp_path / "out"
    assert evomerge("export", "small", "winner", "--to", out) == f"{out}\n"
    assert (out / "README.md").exists()
    assert "exists already" in evomerge("export", "small", 7, "--to", out, code=Exit.CONFLICT)
    evomerge("export", "small", 7, "--to", out, "--replace")
    assert json.loads((out / "evomerge.json").read_text())["candidate"] == 7
    to_hub = ("export", "small", 7, "--to", "hub:me/it", "--public")
    assert "names no licence" in evomerge(*to_hub, code=Exit.CONFLICT)
    assert evomerge(*to_hub, "--accept-licences").strip() == "https://hub.test/me/it"
    assert "neither" in evomerge("export", "small", "best", code=Exit.USAGE)
    written = evomerge("export", "small", "front", "--to", tmp_path / "all").split()
    members = [int(Path(line).name) for line in written]
    front = [point.number for point in client.front("small").front if not point.kind.is_bare]
    assert members == front
    assert (tmp_path / "all" / str(front[0]) / "evomerge.json").exists()


def test_a_dry_run_shows_files_card_licences_and_change(finished: Command, tmp_path: Path) -> None:
    shown = finished("export", "small", 7, "--to", tmp_path / "out", "--dry-run")
    told = ("model.safetensors", "1,000", "nothing was written", "would be filled", "# small, candidate 7")
    assert [word for word in told if word not in shown] == []
    finished("export", "small", 7, "--to", "hub:me/it", "--dry-run", code=Exit.CONFLICT)  # licences
    assert not (tmp_path / "out").exists()


def test_a_cancelled_export_is_not_said_to_be_written(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents, tmp_path: Path
) -> None:
    client.create(spec_over(paper_parents))
    ended(client, "small")
    assert "no exports" in evomerge("exports")
    workforce.job_gate.clear()

    def cancel() -> str:
        wait_for(lambda: bool(client.exports().items), "the export")
        return str(client.cancel_export(client.exports().items[0].id).id)

    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(cancel)
        said = evomerge("export", "small", 7, "--to", tmp_path / "x", code=Exit.FAILED)
    workforce.job_gate.set()
    assert "was cancelled" in said
    assert "Written" not in said
    assert cancelled.result() in evomerge("exports")
    assert "is cancelled" in evomerge.notes("exports", "--cancel", cancelled.result())


def test_a_failed_export_tells_why(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, file: Path, tmp_path: Path
) -> None:
    evomerge("run", file)
    workforce.job_error = ExportError("disk", "is full", "make room")
    assert "disk: is full" in evomerge("export", "small", 7, "--to", tmp_path / "x", code=Exit.FAILED)


def test_a_recipe_is_merged_without_a_service(tiny_parents: Parents, tmp_path: Path) -> None:
    shutil.copytree(tiny_parents["left"], tmp_path / "left")
    (tmp_path / "recipe.yml").write_text(
        f"merge_method: linear\nmodels:\n- {{model: ./left, parameters: {{weight: 1}}}}\n"
        f"- {{model: {tiny_parents['right']}, parameters: {{weight: 3}}}}\n"
    )
    out = tmp_path / "out"
    evomerge = Command("http://127.0.0.1:9")
    assert evomerge("merge", tmp_path / "recipe.yml", out) == f"{out}\n"
    assert {path.name for path in out.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "mergekit_config.yml",
    }
    assert "exists already" in evomerge("merge", tmp_path / "recipe.yml", out, code=Exit.CONFLICT)
    evomerge("merge", tmp_path / "recipe.yml", out, "--replace", "--shard-size", "0.001")
    (tmp_path / "bad.yml").write_text("merge_method: lienar\nmodels: [{model: ./left}]\n")
    assert "linear" in evomerge("merge", tmp_path / "bad.yml", out, code=Exit.INVALID)


# The service as a process


def wait_for_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def start_service(home: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from service.cli.program import main; main()", "serve", "--home", str(home),
         "--workforce", "inline", *options],
        cwd=REPOSITORY, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_service_says_where_it_is_and_goes_in_good_order(tmp_path: Path, sig: signal.Signals) -> None:
    process = start_service(tmp_path, "--port", "0")
    try:
        line = wait_for_line(process)
        assert line.startswith("evomerge is at http://127.0.0.1:")
        with Client(line.split()[-1]) as client:
            assert client.version()["name"] == "evomerge"
    finally:
        process.send_signal(sig)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in said


def test_a_taken_port_is_told_with_its_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start_service(tmp_path, "--port", str(port))
        _, said = process.communicate(timeout=30)
    assert process.returncode == Exit.CONFLICT
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "--port" in said
    assert not (tmp_path / "evomerge.db").exists()


def test_a_service_that_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    said = Command(None)("serve", "--host", "0.0.0.0", "--home", tmp_path, code=Exit.USAGE)
    assert "EVOMERGE_API_KEY" in said


def test_ctrl_c_stops_watching_but_not_the_experiment(
    url: str, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    # A shell that runs the tests in the background may have had interrupts ignored, and that is inherited.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heeding}; from service.cli.program import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "watch", "small", "--server", url],
        cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    assert "small: 0/12" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert "goes on" in said
    assert "Traceback" not in said
    workforce.gate.set()
    assert ended(client, "small").status is ExperimentStatus.SUCCEEDED


# doctor


def doctor(tmp_path: Path, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(app, ["doctor", "--json", "--home", str(tmp_path)], env=environment)
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)}


def test_the_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, EVOMERGE_PORT="0", HF_TOKEN="hf_canary")
    assert code == Exit.OK, checks
    assert set(checks) == {"Python", "torch", "Ray", "lm-eval", "disk", "database", "port", "Hub token"}
    assert all(check["fix"] for check in checks.values() if check["state"] != "ok")
    assert "hf_canary" not in json.dumps(checks)
    assert not (tmp_path / "evomerge.db").exists()  # it looks and touches nothing


def test_the_doctor_names_what_is_wrong_and_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = "postgresql+psycopg://me:s3cret@127.0.0.1:9/none"
        code, checks = doctor(tmp_path, EVOMERGE_PORT=str(taken.getsockname()[1]), EVOMERGE_DATABASE_URL=url)
    assert code == Exit.FAILED
    assert checks["port"]["state"] == checks["database"]["state"] == "failed"
    assert checks["port"]["fix"]
    assert "EVOMERGE_DATABASE_URL" in checks["database"]["fix"]
    assert "s3cret" not in json.dumps(checks)


def test_the_doctor_recognizes_a_service_that_runs(tmp_path: Path, url: str) -> None:
    _, checks = doctor(tmp_path / "home", EVOMERGE_PORT=url.rpartition(":")[2])
    assert "evomerge" in checks["port"]["detail"]
    assert "up to date" in checks["database"]["detail"]
