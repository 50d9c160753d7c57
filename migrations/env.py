"""How Alembic reaches the database: over the service's connection, or as the settings say."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Connection

from service.settings import Settings
from service.store.database import Database
from service.store.models import Base
from service.store.types import UtcDateTime


def rendered(kind: str, item: object, _: object) -> str | Literal[False]:
    """Writes the project's own column type as the generic one it is made of."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run(connection: Connection) -> None:
    """Runs the migrations that were asked for."""
    # SQLite cannot change a column in place: batches copy the table instead.
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=rendered
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    database = Database(Settings().database)
    with database.engine.begin() as own:
        run(own)
    database.close()
