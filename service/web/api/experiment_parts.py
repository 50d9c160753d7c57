"""Routes: how far an experiment is, which genes matter, and its spec as a file."""

from __future__ import annotations

from typing import Annotated, Literal

import yaml
from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from service.experiment.spec import ExperimentSpec
from service.reports.analysis.genes import gene_matrices, importances_view
from service.reports.experiments import progress_view
from service.reports.search_views import ImportancesView
from service.reports.views import ProgressView
from service.specification.planning import build_space_for
from service.web.api.problems import responses
from service.web.dependencies import Reading, ServicesHere

router = APIRouter(prefix="/experiments/{key}", tags=["experiments"])

Form = Literal["resolved", "short"]


@router.get(
    "/progress",
    operation_id="getProgress",
    summary="Get how far an experiment is",
    response_model=ProgressView,
    responses=responses(404),
)
def get_progress(key: str, repository: Reading) -> ProgressView:
    """Gives counts by status, the rate, the time left, and the course of best value and hypervolume."""
    return progress_view(repository, repository.experiment(key))


@router.get(
    "/importances",
    operation_id="getImportances",
    summary="Say how much each gene matters",
    response_model=ImportancesView,
    responses=responses(404),
)
def get_importances(key: str, repository: Reading, services: ServicesHere) -> ImportancesView:
    """Gives PED-ANOVA's importance of every gene for every objective, beside what chance alone would give."""
    row = repository.experiment(key)
    columns = services.columns.columns(repository.session, row, "search")
    variables = build_space_for(ExperimentSpec.model_validate(row.spec), row.facts).variables
    found = gene_matrices(repository.session, row, columns, variables)
    return importances_view(columns, found, [variable.name for variable in variables])


@router.get(
    "/config",
    operation_id="getConfig",
    summary="Get an experiment's spec as YAML",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"application/yaml": {"schema": {}}}, "description": "The spec."},
        **responses(404, 422),
    },
)
def get_config(
    key: str,
    repository: Reading,
    form: Annotated[
        Form, Query(description="`resolved` says every default; `short` what differs from them.")
    ] = "short",
) -> Response:
    """Gives a file that `evomerge run` takes: the same experiment again."""
    spec = ExperimentSpec.model_validate({"chat": {"apply": "off"}} | repository.experiment(key).spec)
    content = spec.model_dump(mode="json", exclude_defaults=form == "short")
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return Response(text, media_type="application/yaml; charset=utf-8")
