"""Tags and stars of experiments.

Revision: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns, empty."""
    with op.batch_alter_table("experiments") as table:
        table.add_column(sa.Column("tags", sa.JSON()))
        table.add_column(sa.Column("starred", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drops them."""
    with op.batch_alter_table("experiments") as table:
        table.drop_column("starred")
        table.drop_column("tags")
