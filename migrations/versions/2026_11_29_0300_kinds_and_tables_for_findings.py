"""Kinds of candidates, and tables for what was read back from events.

Revision: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds what is new and fills it from labels and events."""
    op.add_column(
        "candidates",
        sa.Column("kind", sa.String(20), server_default="evolved"),
    )
    _create_generations()
    _create_openings_and_sensitivities()
    _name_kinds()
    _copy_events()
    with op.batch_alter_table("candidates") as batch:
        batch.alter_column("kind", nullable=False, server_default=None)


def downgrade() -> None:
    """Drops all of it; the events still hold what the tables held."""
    op.drop_table("sensitivities")
    op.drop_index(op.f("ix_openings_experiment_id_id"), "openings")
    op.drop_table("openings")
    op.drop_table("generations")
    with op.batch_alter_table("candidates") as batch:
        batch.drop_column("kind")


def _create_generations() -> None:
    op.create_table(
        "generations",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("settled", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("best", sa.Double()),
        sa.Column("best_number", sa.Integer()),
        sa.Column("hypervolume", sa.Double(), nullable=False),
        sa.Column("front", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("estimator", sa.JSON(none_as_null=True)),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _of_experiment("generations"),
        sa.PrimaryKeyConstraint("experiment_id", "settled", name=op.f("pk_generations")),
    )


def _create_openings_and_sensitivities() -> None:
    op.create_table(
        "openings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("split", sa.String(20), nullable=False),
        sa.Column("numbers", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _of_experiment("openings"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
    )
    op.create_index(op.f("ix_openings_experiment_id_id"), "openings", ["experiment_id", "id"])
    op.create_table(
        "sensitivities",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("conditions", sa.String(200), nullable=False),
        sa.Column("findings", sa.JSON(none_as_null=True), nullable=False),
        _of_experiment("sensitivities"),
        sa.PrimaryKeyConstraint("experiment_id", "number", "conditions", name=op.f("pk_sensitivities")),
    )


def _of_experiment(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_experiment_id_experiments")
    return sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=name, ondelete="CASCADE")


def _name_kinds() -> None:
    """Goes by the labels that the service gave: until now nothing else told the kinds apart."""
    candidates = sa.table("candidates", sa.column("label"), sa.column("kind"))
    label = candidates.c.label
    for kind, which in (
        ("baseline", label.is_not(None)),
        ("parent", label.like("parent: %")),
        ("base", label.like("base: %")),
        ("average", label == "plain average"),
        ("mean", label == "distribution's mean"),
    ):
        op.execute(sa.update(candidates).where(which).values(kind=kind))
    _name_planned_kinds()


def _name_planned_kinds() -> None:
    experiments = sa.table("experiments", sa.column("id", sa.Uuid()), sa.column("facts", sa.JSON()))
    connection = op.get_bind()
    for key, facts in connection.execute(sa.select(experiments.c.id, experiments.c.facts)).all():
        planned = [{**each, "kind": _kind_of(each["label"])} for each in facts.get("baselines", ())]
        changed = {**facts, "baselines": planned}
        connection.execute(sa.update(experiments).where(experiments.c.id == key).values(facts=changed))


def _kind_of(label: str) -> str:
    if label == "plain average":
        return "average"
    return next((kind for kind in ("parent", "base") if label.startswith(f"{kind}: ")), "baseline")


def _copy_events() -> None:
    """Copies generations and openings; of which winner a sensitivity is, events do not say."""
    connection = op.get_bind()
    generations: dict[tuple[Any, int], dict[str, Any]] = {}
    for key, payload, moment in _events("generation.told"):
        row = {name: payload.get(name) for name in ("settled", "generation", "best", "best_number")}
        row |= {"hypervolume": payload["hypervolume"], "front": payload["front"]}
        row |= {"estimator": payload.get("estimator"), "seconds": payload.get("seconds", 0.0)}
        generations[key, payload["settled"]] = {**row, "experiment_id": key, "created_at": moment}
    _insert(connection, "generations", list(generations.values()))
    openings = [
        {"id": uuid4(), "experiment_id": key, "split": "test", "numbers": p["numbers"], "created_at": moment}
        for key, p, moment in _events("test_split.opened")
    ]
    _insert(connection, "openings", openings)


def _events(kind: str) -> Iterator[tuple[Any, Mapping[str, Any], Any]]:
    events = sa.table(
        "events",
        sa.column("id"),
        sa.column("experiment_id", sa.Uuid()),
        sa.column("kind"),
        sa.column("payload", sa.JSON()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    query = sa.select(events.c.experiment_id, events.c.payload, events.c.created_at)
    rows = op.get_bind().execute(query.where(events.c.kind == kind).order_by(events.c.id)).all()
    yield from ((key, payload, moment) for key, payload, moment in rows)


def _insert(connection: sa.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    described = sa.Table(table, sa.MetaData(), autoload_with=connection)
    connection.execute(sa.insert(described), rows)
