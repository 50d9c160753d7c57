"""Looks at the database for `evomerge doctor`: can it be reached, and are its tables up to date?"""

from __future__ import annotations

from typing import Literal

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from service.settings import Settings
from service.store.database import Database, migration_config

CheckResult = tuple[Literal["ok", "warning", "failed"], str, str]


def look_at_database(settings: Settings) -> CheckResult:
    """Returns state, detail and fix; nothing is created or changed."""
    if settings.database_url is None and not (settings.home / "evomerge.db").exists():
        return "ok", "an SQLite file will be made on the first start", ""
    try:
        database = Database(settings.database)
    except (SQLAlchemyError, ImportError) as error:
        return "failed", f"{_short(error)}", "check EVOMERGE_DATABASE_URL; Postgres needs evomerge[postgres]"
    name = database.url.render_as_string(hide_password=True)
    try:
        with database.engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            scripts = ScriptDirectory.from_config(migration_config(connection))
            newest, known = (
                scripts.get_current_head(),
                {script.revision for script in scripts.walk_revisions()},
            )
    except (SQLAlchemyError, OSError) as error:
        return "failed", f"{name}: {_short(error)}", "start it, or correct EVOMERGE_DATABASE_URL"
    finally:
        database.close()
    if found is not None and found not in known:
        return "failed", f"{name} was written by a newer evomerge", "install the newest evomerge"
    if found != newest:
        return "ok", f"{name}: will be brought up to date on the next start", ""
    return "ok", f"{name}: reachable and up to date", ""


def _short(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
