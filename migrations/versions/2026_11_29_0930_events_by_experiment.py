"""Events are read by experiment, in order.

Revision: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes the index; nothing looks for kinds any more."""
    op.drop_index(op.f("ix_events_experiment_id_kind_id"), "events")
    op.create_index(op.f("ix_events_experiment_id_id"), "events", ["experiment_id", "id"])


def downgrade() -> None:
    """Changes it back."""
    op.drop_index(op.f("ix_events_experiment_id_id"), "events")
    op.create_index(op.f("ix_events_experiment_id_kind_id"), "events", ["experiment_id", "kind", "id"])
