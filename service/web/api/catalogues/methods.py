"""Routes: merge methods are listed, models are looked at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError

from search_spaces import Parent
from service.errors import InvalidSpecError, Mistake
from service.reports.listings.method_views import MethodsView, ModelView, methods_view, model_view
from service.specification.roots import check_roots
from service.web.api.problems import responses
from service.web.dependencies import Services, ServicesHere
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.parent_facts import facts_of

router = APIRouter(tags=["catalogues"])


@router.get(
    "/merge-methods", operation_id="listMethods", summary="List merge methods", response_model=MethodsView
)
def list_methods() -> MethodsView:
    """Gives every merge method with its parameters, and what it asks of parents and base."""
    return methods_view()


@router.get(
    "/models/inspect",
    operation_id="inspectModel",
    summary="Say what a model is, before any weights",
    response_model=ModelView,
    responses=responses(404, 422, 503),
)
def inspect_model(
    services: ServicesHere,
    ref: Annotated[
        str,
        Query(min_length=1, max_length=1000, description="A folder, or org/name of the Hub, with @revision."),
    ],
) -> ModelView:
    """Reads config, tokenizer and headers of safetensors files; no weights are fetched from the Hub."""
    parent = allowed_model(ref, services, pointer="/query/ref")
    terms = terms_of([parent])
    return model_view(facts_of(inspect_parent(parent)), gated=terms[0].gated)


def allowed_model(model: str, services: Services, *, pointer: str) -> Parent:
    """Returns a model that the service may read.

    Raises:
        InvalidSpecError: It is in no such folder, or names no model.
    """
    check_roots({"parents": [model]}, services.settings.model_roots)
    try:
        return Parent.model_validate(model)
    except ValidationError as error:
        detail, remedy = f"{model!r}: {error.errors()[0]['msg']}", "name a folder, or org/name of the Hub"
        raise InvalidSpecError([Mistake(pointer, "invalid_request", detail, remedy)]) from error
