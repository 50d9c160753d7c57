"""A run leaves a sound database, and whatever is wrong in one is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from service.cli.exits import Exit
from service.cli.program import app
from service.controller.runner import Runner
from service.settings import Settings
from service.store.database import Database
from service.store.invariants import INVARIANTS
from tests.databases import fresh_database
from tests.service.scripted_workforce import LOST, Mishap, ScriptedWorkforce
from tests.service.small_experiments import add_experiment
from tests.service.soundness import broken


def searched(database: Database) -> None:
    """Runs a search with a lost worker and a failure, to its end."""
    add_experiment(database, budget={"candidates": 12, "failures": 3})
    script: dict[int | tuple[int, int], Mishap] = {5: Mishap(), (6, 1): LOST}
    Runner(
        database, ScriptedWorkforce(slots=3, script=script, benchmarks=("words", "sums")), Settings()
    ).run_next()


def test_a_finished_search_breaks_nothing_and_would_be_proposed_again(database: Database) -> None:
    searched(database)
    assert broken(database) == {}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database with one finished search."""
    path = tmp_path_factory.mktemp("finished") / "evomerge.db"
    with fresh_database(f"sqlite:///{path}") as database:
        searched(database)
    return path


def test_there_are_twenty_four_invariants_each_with_a_query_or_what_else_proves_it() -> None:
    assert list(INVARIANTS) == [f"I{n}" for n in range(1, 25)]
    assert all(one.queries or one.elsewhere for one in INVARIANTS.values())
    assert all(one.sentence.endswith(".") and one.name for one in INVARIANTS.values())


BREAKING = {
    "I1": "UPDATE candidates SET settled_at = NULL WHERE number = 3",
    "I2": "DELETE FROM events WHERE id = (SELECT min(id) FROM events WHERE kind = 'candidate.settled')",
    "I3": "UPDATE candidates SET genome = '[0.5, 0.5, 0.5, 0.5]' WHERE number = 9",
    "I6": "UPDATE candidates SET asked_after = 99 WHERE number = 6",
    "I7": "UPDATE candidates SET digest = 'other' WHERE number = 6",
    "I8": "UPDATE attempts SET ending = NULL WHERE number = 6",
    "I9": "UPDATE experiments SET lease_owner = 'someone', lease_until = NULL",
    "I10": "UPDATE attempts SET ending = NULL WHERE number = 6",
    "I11": "UPDATE candidates SET attempts = 4 WHERE number = 6",
    "I12": """UPDATE experiments SET spec = json_set(spec, '$.budget.candidates', 3)""",
    "I13": "UPDATE candidates SET digest = (SELECT digest FROM candidates WHERE number = 6) WHERE number = 7",
    "I16": "UPDATE evaluations SET stderr = -1",
    "I17": "UPDATE alembic_version SET version_num = '0001'",
    "I18": "DELETE FROM events WHERE kind = 'experiment.created'",
    "I22": "UPDATE experiments SET test_opened_at = NULL",
    "I23": "UPDATE generations SET settled = settled + 100",
    "I24": """UPDATE candidates SET failure = '{"cause": "hf_aaaabbbbccccddddeeeeffff"}' WHERE number = 5""",
}


@pytest.mark.parametrize("key", BREAKING)
def test_what_breaks_an_invariant_is_found(finished: Path, tmp_path: Path, key: str) -> None:
    copy = shutil.copy(finished, tmp_path / "copy.db")
    database = Database(f"sqlite:///{copy}")
    with database.session() as session:
        session.execute(text(BREAKING[key]))
    assert key in broken(database, replay=key == "I3")
    database.close()


def test_the_doctor_judges_any_database_and_tells_by_its_exit_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'evomerge.db'}"
    with fresh_database(url) as database:
        searched(database)
        command = ["doctor", "--database", url, "--replay", "--json"]
        sound = CliRunner().invoke(app, command)
        assert sound.exit_code == Exit.OK, sound.output
        with database.session() as session:
            session.execute(text(BREAKING["I11"]))
        ill = CliRunner().invoke(app, command)
    assert ill.exit_code == Exit.FAILED
    judged = {one["id"]: one for one in json.loads(ill.stdout)}
    assert [key for key, one in judged.items() if one["holds"] is False] == ["I11"]
    assert judged["I11"]["rows"] == [{"experiment": "small", "number": 6, "status": "scored"}]
    assert "attempts" in judged["I11"]["queries"][0]
    assert judged["I21"]["holds"] is None
    missing = CliRunner().invoke(app, ["doctor", "--database", f"sqlite:///{tmp_path}/no.db"])
    assert missing.exit_code == Exit.NOT_FOUND
