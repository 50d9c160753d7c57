"""Rows and the workforce -> who has which workers."""

from __future__ import annotations

from service.reports.listings.worker_views import HolderView, OutView, WorkersView
from service.store.journaling.attempts import out_now
from service.store.repository import Repository
from workers.protocol.messages import Workforce

MOST_OUT = 1000


def workers_view(repository: Repository, workforce: Workforce) -> WorkersView:
    """Returns who has which workers now, and who waits for some."""
    items = []
    for row in repository.experiments_under_way():
        found, _ = out_now(repository.session, row.id, limit=MOST_OUT)
        owner = row.lease_owner
        items.append(
            HolderView(
                experiment=row.name,
                status=row.status,
                workers=row.workers,
                controller=None if owner is None else owner.rpartition(":")[0],
                out=[OutView(candidate=one.number, split=one.split, since=one.started_at) for one in found],
            )
        )
    return WorkersView(slots=workforce.slots, trouble=workforce.trouble, items=items)
