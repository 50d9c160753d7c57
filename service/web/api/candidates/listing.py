"""Lists of candidates: filtered, sorted, a page at a time, or all of them in one table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, select

from service.experiment.candidate import CandidateStatus
from service.reports.experiments import candidate_view, front_numbers
from service.reports.views import CandidatePage
from service.store.filtering.candidates import candidate_fields
from service.store.filtering.columns import FieldNamed, condition
from service.store.filtering.grammar import parse
from service.store.filtering.ordering import parse_order, sorted_page, token_text
from service.store.models import CandidateRow, ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.web.api.pages import PageTokenError, cut_to, token_for
from service.web.api.selection import SelectionQuery

TableFormat = Literal["csv", "ndjson", "parquet"]
MEDIA_TYPES: dict[TableFormat, str] = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


class CandidateQuery(SelectionQuery):
    """Which candidates are wanted, and how."""

    format: Annotated[
        Literal["json", "csv", "ndjson", "parquet"] | None,
        Field(
            description="All but `json` give every row in one table; without it the Accept header counts. "
            "`ndjson` has a candidate per line, as in a page."
        ),
    ] = None
    status: Annotated[CandidateStatus | None, Field(description="Only those with this status.")] = None

    def table(self, accept: str) -> TableFormat | None:
        """Returns as what all rows are wanted; None where a page is."""
        if self.format is not None:
            return None if self.format == "json" else self.format
        wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
        for media_type in wanted:
            if media_type == "application/json":
                return None
            for name, known in MEDIA_TYPES.items():
                if media_type == known:
                    return name
        return None


def fields_of(repository: Repository, experiment: ExperimentRow) -> FieldNamed:
    """Returns how fields of an experiment's candidates are found by name."""
    return candidate_fields(objectives_of(experiment).names, front_numbers(repository, experiment.id))


def chosen(query: CandidateQuery, named: FieldNamed) -> ColumnElement[bool] | None:
    """Returns which candidates are wanted, as SQL; None for all.

    Raises:
        InvalidSpecError: The filter is none.
    """
    found = [] if query.filter is None else [condition(parse(query.filter), named)]
    if query.status is not None:
        found.append(CandidateRow.status == query.status)
    return and_(*found) if found else None


def page_of_candidates(
    repository: Repository, experiment: ExperimentRow, query: CandidateQuery
) -> CandidatePage:
    """Returns a page of candidates, by number or in another order.

    Raises:
        InvalidSpecError: Filter, order or token is none.
    """
    named = fields_of(repository, experiment)
    where, front = chosen(query, named), front_numbers(repository, experiment.id)
    if query.order_by is None:
        rows = repository.candidates(
            experiment.id, after=query.number(default=-1), limit=query.size + 1, where=where
        )
        shown, token = cut_to(rows, query.size, lambda row: row.number)
        return CandidatePage(items=[candidate_view(row, front=front) for row in shown], next_page_token=token)
    order, after = parse_order(query.order_by, named), query.place()
    if after is not None and not isinstance(after[1], int):
        raise PageTokenError(query.page_token or "")
    wanted = select(CandidateRow.number, order.field.expression).where(
        CandidateRow.experiment_id == experiment.id, *([] if where is None else [where])
    )
    sorted_rows = sorted_page(wanted, order, CandidateRow.number.expression, after=after)
    found = repository.session.execute(sorted_rows.limit(query.size + 1)).all()
    places = found[: query.size]
    rows_by_number = {
        row.number: row
        for row in repository.candidates_numbered(experiment.id, [number for number, _ in places])
    }
    token = token_for(token_text(places[-1][1], places[-1][0])) if len(found) > query.size else None
    items = [candidate_view(rows_by_number[number], front=front) for number, _ in places]
    return CandidatePage(items=items, next_page_token=token)
