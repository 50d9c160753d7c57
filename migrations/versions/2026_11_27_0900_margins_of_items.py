"""By how much each item of a multiple-choice benchmark is right.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column, empty in old rows."""
    op.add_column("evaluations", sa.Column("margins", sa.LargeBinary()))


def downgrade() -> None:
    """Drops it."""
    with op.batch_alter_table("evaluations") as batch:
        batch.drop_column("margins")
