"""Routes: candidates are exported as checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.exports.preview import preview
from service.exports.requests import Wanted, publishing_problems, request_export
from service.reports.experiments import export_view
from service.reports.views import ExportPage, ExportPreview, ExportView
from service.store.repository import Repository
from service.web.api.idempotency import Attempt, IdempotencyKey
from service.web.api.pages import PageWanted, cut_to
from service.web.api.problems import responses
from service.web.dependencies import Reading, Services, ServicesHere, Writing
from workers.protocol.messages import ExportFormat, QuantizedKindName

router = APIRouter(tags=["exports"])


class ExportRequest(BaseModel):
    """What to export, and where to."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"candidate": "winner"},
                {"candidate": 17, "target": "/models/merged", "replace": True},
                {"candidate": "winner", "target": "hub:my-org/my-merge", "private": True},
            ]
        },
    )

    candidate: Annotated[
        Annotated[int, Field(strict=True, ge=0, lt=2**31)] | Literal["winner"],
        Field(description="A candidate's number, or `winner`."),
    ] = "winner"
    target: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4096,
            description="An absolute folder of the service's machine, `hub:org/name`, or an object store's "
            "address such as `s3://bucket/path`; without one the experiment's own folder is taken.",
        ),
    ] = None
    private: Annotated[bool, Field(strict=True, description="Whether a Hub repository is private.")] = True
    replace: Annotated[
        bool,
        Field(
            strict=True,
            description="An earlier export there, or a model that the Hub repository holds, may be replaced.",
        ),
    ] = False
    verify: Annotated[
        bool,
        Field(
            strict=True,
            description="The checkpoint is loaded by transformers, and answers stored items again, before it "
            "gets its name.",
        ),
    ] = True
    even_a_parent: Annotated[
        bool,
        Field(
            strict=True,
            description="A candidate that is one of the parents as it is, and no merge, is copied too.",
        ),
    ] = False
    accept_licences: Annotated[
        bool,
        Field(
            strict=True,
            description="Publish although the parents' licences stand in the way; the card says so.",
        ),
    ] = False
    create_pr: Annotated[
        bool,
        Field(strict=True, description="Open a pull request instead of changing the Hub's main branch."),
    ] = False
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        Field(description="Number format of the weights; without one the recipe's."),
    ] = None
    shard_gigabytes: Annotated[
        float, Field(ge=0.001, le=1000, description="Size of the largest file of weights.")
    ] = 5.0
    memory_limit: Annotated[
        int | None, Field(ge=2**20, lt=2**50, description="Bytes that the worker may have resident.")
    ] = None
    format: Annotated[
        ExportFormat,
        Field(
            description="`hf`: a checkpoint; `mergekit`: its recipe and card alone; `gguf`: a checkpoint "
            "with a GGUF file beside it, by an installed converter."
        ),
    ] = "hf"
    quantize: Annotated[
        tuple[QuantizedKindName, ...],
        Field(
            max_length=2,
            description="Quantized copies to write beside it, each in a folder, address or repository of its "
            "own whose name ends with the kind: `int8` and `nf4`, by bitsandbytes.",
        ),
    ] = ()
    sign: Annotated[
        bool,
        Field(
            strict=True,
            description="Add `model.sig`, a signature of all files by the key that EVOMERGE_SIGNING_KEY "
            "names on the worker's machine.",
        ),
    ] = False
    family: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31)], ...],
        Field(
            max_length=100,
            description="Numbers of the candidates that are exported together, this one among them: their "
            "cards name each other, and on the Hub they share a collection. The target ends with this "
            "candidate's number, after a dash or a slash.",
        ),
    ] = ()


@router.post(
    "/experiments/{key}/exports",
    operation_id="createExport",
    summary="Export a candidate as a checkpoint",
    status_code=202,
    response_model=ExportView,
    responses=responses(400, 404, 409, 413, 415, 422),
)
def create_export(
    key: str, wanted: ExportRequest, services: ServicesHere, idempotency_key: IdempotencyKey = None
) -> Response:
    """Puts the export into the queue; the answer's Location says how far it is."""
    answer = _store(services, key, wanted, idempotency_key)
    services.exporter.wake()
    return answer


def _store(services: Services, key: str, wanted: ExportRequest, idempotency_key: str | None) -> JSONResponse:
    request = Wanted(**wanted.model_dump())
    problems = publishing_problems(services.database, key, request)
    with services.database.session() as session:
        repository = Repository(session)
        experiment = repository.experiment(key)
        operation = f"createExport:{experiment.id.hex}"
        attempt = Attempt.of(operation, idempotency_key, wanted.model_dump(mode="json"))
        if (answer := attempt.earlier_answer(repository)) is not None:
            return answer
        row = request_export(repository, services.settings, experiment, request, problems)
        body = export_view(row).model_dump(mode="json")
        return attempt.answer(repository, 202, body, location=f"/api/v1/exports/{row.id}")


@router.post(
    "/experiments/{key}/exports/preview",
    operation_id="previewExport",
    summary="Say what an export would write and change",
    response_model=ExportPreview,
    responses=responses(400, 404, 409, 413, 415, 422),
)
def preview_export(key: str, wanted: ExportRequest, services: ServicesHere) -> ExportPreview:
    """Gives files, sizes, card, licence findings and the change at the target; writes nothing.

    Parents on the Hub that are not in the cache are downloaded.
    """
    request = Wanted(**wanted.model_dump())
    return preview(services.database, services.workforce, services.settings, key, request)


@router.get(
    "/exports",
    operation_id="listExports",
    summary="List exports, newest first",
    response_model=ExportPage,
    responses=responses(422),
)
def list_exports(page: PageWanted, repository: Reading) -> ExportPage:
    """Gives the exports of all experiments."""
    rows = repository.exports(limit=page.size + 1, before=page.id())
    shown, token = cut_to(rows, page.size, lambda row: row.id)
    return ExportPage(items=[export_view(row) for row in shown], next_page_token=token)


@router.get(
    "/exports/{export}",
    operation_id="getExport",
    summary="Get how far an export is",
    response_model=ExportView,
    responses=responses(404),
)
def get_export(export: str, repository: Reading) -> ExportView:
    """Gives an export; once it has succeeded, with its folder and address."""
    return export_view(repository.export(export))


@router.post(
    "/exports/{export}/cancel",
    operation_id="cancelExport",
    summary="Cancel an export",
    status_code=202,
    response_model=ExportView,
    responses={200: {"model": ExportView, "description": "It is cancelled."}, **responses(404, 409)},
)
def cancel_export(export: str, repository: Writing, response: Response) -> ExportView:
    """Gives an export up; an upload that has begun may leave files in the repository."""
    row = repository.export(export)
    repository.cancel_export(row)
    response.status_code = 202 if row.status == "cancelling" else 200
    return export_view(row)
