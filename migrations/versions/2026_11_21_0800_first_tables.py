"""The first tables.

Revision: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

EVENT_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables, those that others point to first."""
    op.create_table(
        "experiments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("winner", sa.JSON()),
        sa.Column("failure", sa.JSON()),
        sa.Column("reference", sa.JSON()),
        sa.Column("search_seconds", sa.Double(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("lease_until", sa.Double()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("name", name="uq_experiments_name"),
    )
    op.create_index("ix_experiments_status_id", "experiments", ["status", "id"])
    op.create_table(
        "candidates",
        sa.Column("id", sa.Uuid(), nullable=False),
        _of_experiment("candidates"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("genome", sa.JSON()),
        sa.Column("recipe", sa.JSON()),
        sa.Column("digest", sa.String(64)),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("infeasible_reason", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("told", sa.Integer()),
        sa.Column("failure", sa.JSON()),
        sa.Column("worker", sa.Text()),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_candidates"),
        sa.UniqueConstraint("experiment_id", "number", name="uq_candidates_experiment_id_number"),
        sa.UniqueConstraint("experiment_id", "told", name="uq_candidates_experiment_id_told"),
    )
    op.create_index("ix_candidates_experiment_id_status", "candidates", ["experiment_id", "status"])
    op.create_table(
        "evaluations",
        sa.Column(
            "candidate_id",
            sa.Uuid(),
            sa.ForeignKey("candidates.id", ondelete="CASCADE", name="fk_evaluations_candidate_id_candidates"),
            nullable=False,
        ),
        sa.Column("split", sa.String(20), nullable=False),
        sa.Column("benchmark", sa.String(200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("stderr", sa.Double(), nullable=False),
        sa.Column("higher_is_better", sa.Boolean(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("per_item", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("candidate_id", "split", "benchmark", name="pk_evaluations"),
    )
    _make_shell_tables()


def _make_shell_tables() -> None:
    """Makes the tables that only the service's outer parts use."""
    op.create_table(
        "events",
        sa.Column("id", EVENT_ID, nullable=False),
        _of_experiment("events", nullable=True),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_experiment_id_kind_id", "events", ["experiment_id", "kind", "id"])
    op.create_table(
        "exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        _of_experiment("exports"),
        sa.Column("candidate_number", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("folder", sa.Text()),
        sa.Column("url", sa.Text()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("digest", sa.String(128)),
        sa.Column("failure", sa.JSON()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("lease_until", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
    )
    op.create_index("ix_exports_experiment_id_id", "exports", ["experiment_id", "id"])
    op.create_index("ix_exports_status_id", "exports", ["status", "id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
    )


def downgrade() -> None:
    """Drops the tables, those that point to others first."""
    for table in ("idempotency_keys", "exports", "events", "evaluations", "candidates", "experiments"):
        op.drop_table(table)


def _of_experiment(table: str, *, nullable: bool = False) -> sa.Column[object]:
    name = f"fk_{table}_experiment_id_experiments"
    key = sa.ForeignKey("experiments.id", ondelete="CASCADE", name=name)
    return sa.Column("experiment_id", sa.Uuid(), key, nullable=nullable)
