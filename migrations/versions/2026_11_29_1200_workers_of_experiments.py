"""How many workers an experiment has.

Revision: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, empty: the next controller fills it."""
    with op.batch_alter_table("experiments") as table:
        table.add_column(sa.Column("workers", sa.Integer()))


def downgrade() -> None:
    """Drops it."""
    with op.batch_alter_table("experiments") as table:
        table.drop_column("workers")
