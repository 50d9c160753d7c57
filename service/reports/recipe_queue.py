"""Rows of the queue -> what people see of it."""

from __future__ import annotations

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from service.experiment.enqueued import EnqueuedBy
from service.reports.search_views import EnqueuedView
from service.store.models import EnqueuedRow


def enqueued_view(row: EnqueuedRow, candidate: int | None = None) -> EnqueuedView:
    """Returns a recipe in the queue, and the number of the candidate that it became."""
    return EnqueuedView(
        id=row.id,
        label=row.label,
        made_by=EnqueuedBy(row.made_by),
        ancestor=row.ancestor,
        candidate=candidate,
        recipe=write_recipe(Recipe.model_validate(row.recipe)),
        created_at=row.created_at,
    )
