"""What examinations asked, and what it took.

Revision: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table, empty: what was asked before costs nothing."""
    op.create_table(
        "examination_steps",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("split", sa.String(20), nullable=False),
        sa.Column("conditions", sa.String(200), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("failure", sa.JSON()),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_examination_steps_experiment_id_experiments"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "experiment_id", "number", "split", "conditions", name=op.f("pk_examination_steps")
        ),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("examination_steps")
