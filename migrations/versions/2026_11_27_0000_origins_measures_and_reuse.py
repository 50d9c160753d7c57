"""Where candidates come from, what they measure, and what lets their scores be used again.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns, all of them empty in old rows, and the table of hashed files."""
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    op.create_index("ix_candidates_model_key", "candidates", ["model_key"])
    op.create_table(
        "hashed_files",
        sa.Column("path", sa.String(4096), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_hashed_files"),
    )


def downgrade() -> None:
    """Drops what was added."""
    op.drop_table("hashed_files")
    op.drop_index("ix_candidates_model_key", "candidates")
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)


def _columns() -> dict[str, list[sa.Column[object]]]:
    return {
        "candidates": [
            sa.Column("operator", sa.Text()),
            sa.Column("ancestors", sa.JSON()),
            sa.Column("asked_after", sa.Integer()),
            sa.Column("measures", sa.JSON()),
            sa.Column("violation", sa.Double()),
            sa.Column("model_key", sa.String(64)),
        ],
        "evaluations": [
            sa.Column("sheet", sa.Text()),
            sa.Column("places", sa.LargeBinary()),
            sa.Column("notes", sa.JSON()),
        ],
        "experiments": [sa.Column("test_opened_at", sa.DateTime(timezone=True))],
    }
