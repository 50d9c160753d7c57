"""In which later generations a candidate was asked further items.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, empty in old rows."""
    op.add_column("candidates", sa.Column("again", sa.JSON()))


def downgrade() -> None:
    """Drops it."""
    with op.batch_alter_table("candidates") as batch:
        batch.drop_column("again")
