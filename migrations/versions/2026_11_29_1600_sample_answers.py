"""Answers to some items, with their prompts, that people asked to see.

Revision: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table, empty."""
    op.create_table(
        "sample_answers",
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("split", sa.String(20), nullable=False),
        sa.Column("benchmark", sa.String(200), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidates.id"],
            name=op.f("fk_sample_answers_candidate_id_candidates"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("candidate_id", "split", "benchmark", name=op.f("pk_sample_answers")),
    )


def downgrade() -> None:
    """Drops it."""
    op.drop_table("sample_answers")
