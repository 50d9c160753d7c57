"""Recipes that people put into an experiment's queue.

Revision: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table, empty."""
    op.create_table(
        "enqueued_recipes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("made_by", sa.String(20), nullable=False),
        sa.Column("ancestor", sa.Integer()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiments.id"],
            name=op.f("fk_enqueued_recipes_experiment_id_experiments"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enqueued_recipes")),
    )
    op.create_index(op.f("ix_enqueued_recipes_experiment_id_id"), "enqueued_recipes", ["experiment_id", "id"])


def downgrade() -> None:
    """Drops it."""
    op.drop_table("enqueued_recipes")
