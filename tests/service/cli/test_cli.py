from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from search_spaces.recipes.mergekit_yaml import read_recipe
from service.cli.output import Exit, clean
from service.cli.program import COMMANDS, app
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import SteeredWorkforce, ended, reached, serving, spec_over
from workers.errors import ExportError

REPOSITORY = Path(__file__).parents[3]
Parents = dict[str, Path]


@pytest.fixture
def workforce() -> SteeredWorkforce:
    return SteeredWorkforce()


@pytest.fixture
def url(tmp_path: Path, workforce: SteeredWorkforce) -> Iterator[str]:
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
    with serving(tmp_path_factory.mktemp("finished"), SteeredWorkforce()) as url, Client(url) as client:
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
    for arguments in (("status", "nobody"), ("front", "nobody"), ("recipe", "small", "99")):
        assert "there is no" in finished(*arguments, code=Exit.NOT_FOUND)


def test_a_wrong_key_is_told(tmp_path: Path, workforce: SteeredWorkforce) -> None:
    with serving(tmp_path, workforce, api_key="secret") as url:
        evomerge = Command(url)
        assert "EVOMERGE_API_KEY" in evomerge("list", code=Exit.UNAUTHORIZED)
        assert evomerge("list", "--api-key", "secret", "--json")


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b]8;;http://evil\x07b\u202ec\x9bd\te\nf") == "a�]8;;http://evil�b�c�d\te\nf"


# Looking


def test_experiments_are_listed(finished: Command) -> None:
    assert "small" in finished("list")
    assert json.loads(finished("list", "--json"))["items"][0]["name"] == "small"


def test_an_empty_service_says_what_to_do(evomerge: Command) -> None:
    assert "evomerge run" in evomerge.notes("list")
    assert evomerge("list") == ""


def test_the_status_is_shown(finished: Command) -> None:
    text = finished("status", "small")
    for word in ("finished", "12 of 12", "12 scored", "winner", "optimism", "hypervolume"):
        assert word in text
    assert json.loads(finished("status", "small", "--json"))["progress"]["settled"] == 12


def test_the_front_is_shown_beside_the_baselines(finished: Command) -> None:
    text = finished("front", "small", "--split", "test")
    assert "parent: left" in text
    assert "plain average" in text
    assert "±" in text
    view = json.loads(finished("front", "small", "--json"))
    rows = finished("front", "small", "--csv").splitlines()
    assert rows[0].startswith("number,label,on_front,winner,search:words,search:words:stderr,search:sums")
    labels = {row.split(",")[1] for row in rows[1:]}
    assert labels >= {point["label"] for point in view["baselines"]}
    assert "no split" in finished("front", "small", "--split", "train", code=Exit.USAGE)


def test_what_was_found_out_about_the_winner_is_shown(finished: Command) -> None:
    text = finished("examination", "small")
    for words in ("winner:", "words: test", "optimism", "against parent: left", "p = ", "chance of being"):
        assert words in text
    found = json.loads(finished("examination", "small", "--json"))
    assert [objective["name"] for objective in found["objectives"]] == ["words", "sums"]


def test_a_recipe_is_written_as_it_is(finished: Command) -> None:
    assert read_recipe(finished("recipe", "small", 7)).method == "task_arithmetic"
    assert read_recipe(finished("recipe", "small", "winner")).all_parents


# Submitting


def test_a_file_is_checked(evomerge: Command, file: Path, client: Client) -> None:
    text = evomerge("check", file)
    assert "genes: 4" in text
    assert "plain average" in text
    assert json.loads(evomerge("check", file, "--json"))["valid"] is True
    assert client.experiments().items == []


def test_mistakes_are_told_with_their_lines(evomerge: Command, file: Path) -> None:
    lines = file.read_text().splitlines()
    lines += ["evaluation_timeout: 0", "dtpye: float32"]
    file.write_text(
        "\n".join(lines).replace("models/right", "models/wrong").replace("task: sums", "task: smus")
    )
    said = evomerge("check", file, code=Exit.INVALID)

    def line_of(text: str) -> int:
        return next(i for i, line in enumerate(file.read_text().splitlines(), 1) if text in line)

    for text in ("models/wrong", "task: smus", "evaluation_timeout", "dtpye"):
        assert f"{file}:{line_of(text)}: " in said
    assert "did you mean 'dtype'?" in said
    assert evomerge("run", file, code=Exit.INVALID).count(f"{file}:") == said.count(f"{file}:")


def test_what_no_request_can_say_is_told_with_its_line(evomerge: Command, file: Path) -> None:
    file.write_text(file.read_text() + "evaluation_timeout: .inf\nnotes: 2024-01-01\nbudgte: {}\n")
    last = len(file.read_text().splitlines())
    said = evomerge("check", file, "--set", "seed=.nan", code=Exit.INVALID)
    assert f"{file}:{last - 2}: /evaluation_timeout: inf is no finite number" in said
    assert f"{file}:{last - 1}: /notes: 2024-01-01 is a date" in said
    assert f"{file}:{last}: /budgte" in said
    assert "--set seed=.nan: /seed: nan is no finite number" in said
    assert evomerge("run", file, "--set", "seed=.nan", code=Exit.INVALID) == said
    assert "--name a/b: /name" in evomerge(
        "check",
        file,
        "--set",
        "evaluation_timeout=9",
        "--set",
        "notes=''",
        "--name",
        "a/b",
        code=Exit.INVALID,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "line"),
        ("a: 1\na: 2\n", "twice"),
        ("a: 1\nb: *x\n", "alias"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("- a\n- b\n", "no experiment"),
        ("", "no experiment"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(
    evomerge: Command, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    said = evomerge("run", path, code=Exit.INVALID)
    assert told in said
    assert str(path) in said
    assert "No such file" in evomerge("run", tmp_path / "missing.yml", code=Exit.INVALID)


def test_an_experiment_is_run_to_its_end(evomerge: Command, file: Path, client: Client) -> None:
    text = evomerge("run", file)
    assert "parent: left" in text
    assert client.experiment("small").status is ExperimentStatus.SUCCEEDED
    assert "was run already" in evomerge.notes("run", file)
    assert evomerge("run", file) == text
    assert "evomerge extend small" in evomerge(
        "run", file, "--set", "budget.candidates=9", code=Exit.CONFLICT
    )
    assert "--name" in evomerge("run", file, "--set", "seed=8", code=Exit.CONFLICT)
    assert "12/12" in evomerge.notes("run", file, "--name", "second")


def test_values_are_changed_on_the_way(evomerge: Command, file: Path, client: Client) -> None:
    changes = ["budget.candidates=4", "objectives.1.weight=0.5", "notes=hello", "optimizer.algorithm=random"]
    options = [option for change in changes for option in ("--set", change)]
    assert evomerge("run", file, "--detach", *options) == "small\n"
    spec = ended(client, "small").spec
    assert spec["budget"]["candidates"] == 4
    assert [objective["weight"] for objective in spec["objectives"]] == [1.0, 0.5]
    assert (spec["notes"], spec["optimizer"]["algorithm"]) == ("hello", "random")
    for change in ("budget", "objectives.7.weight=1", "name.x=1", "=1"):
        assert "--set" in evomerge("run", file, "--set", change, code=Exit.USAGE)


def test_a_recipe_may_be_a_file_beside_the_experiment(
    evomerge: Command, file: Path, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "mine.yml").write_text(
        "merge_method: linear\nmodels:\n- {model: models/left, parameters: {weight: 1}}\n"
        "- {model: models/right, parameters: {weight: 3}}\n"
    )
    evomerge("run", file, "--set", "baselines.recipes={mine: mine.yml}")
    assert "mine" in [candidate.label for candidate in client.all_candidates("small")]


def test_without_a_service_the_command_starts_its_own(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # another program has the usual port
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("EVOMERGE_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("EVOMERGE_WORKFORCE", "inline")
        evomerge = Command(None)
        # No worker's libraries are loaded for this: there is no task to ask about.
        said = evomerge(
            "check", file, "--home", tmp_path / "own", "--set", "objectives=[]", code=Exit.INVALID
        )
        assert "starting one" in said
        assert f"{file} has" in said
        assert (tmp_path / "own" / "evomerge.db").exists()
        assert "--detach" in evomerge(
            "run", file, "--detach", "--home", tmp_path / "own", code=Exit.UNREACHABLE
        )


# Steering and watching


def test_an_experiment_is_steered(
    evomerge: Command, client: Client, workforce: SteeredWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    assert "small is being paused" in evomerge.notes("pause", "small")
    assert "small is searching" in evomerge.notes("resume", "small")
    assert "small is being cancelled" in evomerge.notes("cancel", "small")
    reached(client, "small", ExperimentStatus.CANCELLED)
    assert "is cancelled; it cannot go on" in evomerge("resume", "small", code=Exit.CONFLICT)
    evomerge("watch", "small", code=Exit.FAILED)


def test_a_finished_experiment_is_extended(
    evomerge: Command, client: Client, workforce: SteeredWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents, budget={"candidates": 8, "stagnation": 300}))
    assert "wait for its end" in evomerge("extend", "small", "--candidates", 50, code=Exit.CONFLICT)
    workforce.gate.set()
    ended(client, "small")
    assert "extend" in evomerge("status", "small")
    assert "small is waiting to start" in evomerge.notes(
        "extend", "small", "--candidates", 13, "--lift", "stagnation"
    )
    done = ended(client, "small")
    assert (done.progress.settled, done.spec["budget"]["stagnation"]) == (17, None)
    assert "use 13 or more" in evomerge("extend", "small", "--candidates", 9, code=Exit.INVALID)
    assert "--candidates" in evomerge("extend", "small", code=Exit.USAGE)
    assert "'failures' is no limit" in evomerge("extend", "small", "--lift", "failures", code=Exit.USAGE)


def test_a_failed_experiment_ends_the_watch_with_its_cause(
    evomerge: Command, client: Client, workforce: SteeredWorkforce, paper_parents: Parents
) -> None:
    workforce.prepare_error = MemoryError("no room")
    client.create(spec_over(paper_parents))
    said = evomerge("watch", "small", code=Exit.FAILED)
    assert "evomerge resume small" in said


def test_progress_is_shown_line_by_line_where_there_is_no_terminal(finished: Command) -> None:
    said = finished.notes("watch", "small")
    assert "small: 12/12 candidates, finished" in said
    assert "hypervolume" in said
    assert "the winner is candidate" in said


def test_progress_is_a_bar_on_a_terminal(finished: Command) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from service.cli.program import main; main()", "watch", "small"],
        cwd=REPOSITORY, env=os.environ | {"EVOMERGE_URL": str(finished.environment["EVOMERGE_URL"]),
                                          "TERM": "xterm", "COLUMNS": "200"},
        stdout=subprocess.PIPE, stderr=child,
    )  # fmt: skip
    os.close(child)
    said = b""
    with contextlib.suppress(OSError):  # the terminal is gone when the process is
        while chunk := os.read(parent, 4096):
            said += chunk
    os.close(parent)
    assert process.wait(20) == Exit.OK
    process.communicate()
    text = said.decode()
    assert "12/12" in text
    assert "━" in text
    assert "finished" in text


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
    assert evomerge("export", "small", 7, "--to", "hub:me/it", "--public").strip() == "https://hub.test/me/it"
    assert "neither" in evomerge("export", "small", "best", code=Exit.USAGE)


def test_a_failed_export_tells_why(
    evomerge: Command, client: Client, workforce: SteeredWorkforce, file: Path, tmp_path: Path
) -> None:
    evomerge("run", file)
    workforce.errand_error = ExportError("disk", "is full", "make room")
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
    assert "exists already" in evomerge("merge", tmp_path / "recipe.yml", out, code=Exit.FAILED)
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
    url: str, client: Client, workforce: SteeredWorkforce, paper_parents: Parents
) -> None:
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    # Whoever runs the tests in the background may have had interrupts ignored, and that is inherited.
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
