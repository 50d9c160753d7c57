"""How Alembic reaches the database: over the connection, and with the tables, that its caller gives.

It imports nothing of the service, which imports this package.  `scripts/new_migration.py` writes migrations.
"""

from __future__ import annotations

from alembic import context
from alembic.util import CommandError

given = context.config.attributes
if "connection" not in given:
    raise CommandError(
        "no database is given; evomerge brings its tables up to date whenever it starts (`evomerge serve`)"
    )
# SQLite cannot change a column in place: batches copy the table instead.
context.configure(
    connection=given["connection"],
    target_metadata=given.get("metadata"),
    render_as_batch=True,
    render_item=given.get("render_item"),
)
with context.begin_transaction():
    context.run_migrations()
