"""When experiments were deleted: they can be brought back for some weeks.

Revision: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, empty."""
    with op.batch_alter_table("experiments") as table:
        table.add_column(sa.Column("deleted_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drops it; what was deleted is there again, under a name of its own."""
    with op.batch_alter_table("experiments") as table:
        table.drop_column("deleted_at")
