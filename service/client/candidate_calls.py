"""CandidateCalls: what the client asks about candidates, and has done with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

from evaluators import Split
from service.client.addresses import experiment_at
from service.client.connection import UNHURRIED, Connection, page_of, selection
from service.client.data_frames import data_frame, polars_frame
from service.experiment.candidate import CandidateStatus
from service.reports.listings.answer_views import AnswersView, SamplesView
from service.reports.search_views import ArchiveView, EnqueuedView, LineageView, QueuePage
from service.reports.views import CandidateDetail, CandidatePage, CandidateView, FrontView

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

TableForm = Literal["csv", "ndjson", "parquet"]


class CandidateCalls(Connection):
    """Candidates, the front, the archive, and recipes that wait to become candidates."""

    def candidates(
        self,
        key: str | UUID,
        *,
        status: CandidateStatus | None = None,
        filter: str | None = None,  # noqa: A002 - what the interface calls it
        order_by: str | None = None,
        page_size: int = 1000,
        page_token: str | None = None,
    ) -> CandidatePage:
        """Returns candidates by number, or in another order.

        Args:
            key: The experiment's name or id.
            status: Only those with this status.
            filter: As `objectives.gsm8k >= 0.5 AND kind = evolved`.
            order_by: As `test.gsm8k desc`.
            page_size: How many at most.
            page_token: Of the page before.
        """
        params = page_of(page_size, page_token) | ({"status": status.value} if status else {})
        params |= selection(filter, order_by)
        return self._view(CandidatePage, "GET", f"{experiment_at(key)}/candidates", params=params)

    def all_candidates(
        self,
        key: str | UUID,
        *,
        filter: str | None = None,  # noqa: A002 - what the interface calls it
        order_by: str | None = None,
    ) -> Iterator[CandidateView]:
        """Yields every candidate, a page at a time; `filter` and `order_by` as in `candidates`."""
        token: str | None = None
        while True:
            page = self.candidates(key, filter=filter, order_by=order_by, page_token=token)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def candidates_csv(self, key: str | UUID) -> str:
        """Returns every candidate as CSV."""
        return self._ask("GET", f"{experiment_at(key)}/candidates", headers={"Accept": "text/csv"}).text

    def candidates_table(self, key: str | UUID, form: TableForm, *, filter: str | None = None) -> bytes:  # noqa: A002
        """Returns every candidate in one table: `csv`, `ndjson` (a candidate per line) or `parquet`."""
        params = {"format": form} | selection(filter, None)
        return self._ask("GET", f"{experiment_at(key)}/candidates", params=params, timeout=UNHURRIED).content

    def to_pandas(self, key: str | UUID) -> pd.DataFrame:
        """Returns every candidate, with its scores, costs and genes, as a data frame of pandas."""
        return data_frame(self.candidates_csv(key))

    def to_polars(self, key: str | UUID) -> pl.DataFrame:
        """Returns every candidate, with its scores, costs and genes, as a data frame of polars."""
        return polars_frame(self.candidates_csv(key))

    def candidate(self, key: str | UUID, number: int) -> CandidateDetail:
        """Returns a candidate with its recipe and genome."""
        return self._view(CandidateDetail, "GET", f"{experiment_at(key)}/candidates/{number}")

    def recipe(self, key: str | UUID, number: int) -> str:
        """Returns a candidate's recipe as mergekit YAML."""
        return self._ask("GET", f"{experiment_at(key)}/candidates/{number}/recipe").text

    def lineage(self, key: str | UUID, number: int) -> LineageView:
        """Returns a candidate and all its ancestors."""
        return self._view(LineageView, "GET", f"{experiment_at(key)}/candidates/{number}/lineage")

    def archive(self, key: str | UUID) -> ArchiveView:
        """Returns the best candidate of every cell over the experiment's measures."""
        return self._view(ArchiveView, "GET", f"{experiment_at(key)}/archive")

    def front(self, key: str | UUID, split: Split = "search") -> FrontView:
        """Returns the front on one split, and what it is compared to."""
        return self._view(FrontView, "GET", f"{experiment_at(key)}/front", params={"split": split})

    def enqueue(self, key: str | UUID, recipe: str, *, label: str | None = None) -> EnqueuedView:
        """Has a search try a recipe of your own (mergekit's YAML) as one of its next candidates."""
        body = {"recipe": recipe} | ({} if label is None else {"label": label})
        return self._put_into_queue(f"{experiment_at(key)}/candidates", body)

    def retry(self, key: str | UUID, number: int) -> EnqueuedView:
        """Has a search try the recipe of a failed candidate again, as another candidate."""
        return self._put_into_queue(f"{experiment_at(key)}/candidates/{number}/retry")

    def reevaluate(self, key: str | UUID, number: int) -> EnqueuedView:
        """Has a search ask a candidate's recipe every item anew, as another candidate."""
        return self._put_into_queue(f"{experiment_at(key)}/candidates/{number}/reevaluate")

    def try_candidate(
        self,
        key: str | UUID,
        number: int,
        prompt: str,
        **options: Any,  # noqa: ANN401 - JSON
    ) -> AnswersView:
        """Returns what a candidate and its parents answer to a prompt; nothing is stored.

        Args:
            key: The experiment's name or id.
            number: The candidate's.
            prompt: What is asked.
            options: `system`, `chat` (`auto`, `on`, `off`), `parents`, `max_tokens`, `temperature`, `seed`,
                `seconds`, as in the REST interface.
        """
        body = {"prompt": prompt} | options
        path = f"{experiment_at(key)}/candidates/{number}/answers"
        return self._view(AnswersView, "POST", path, json=body, timeout=UNHURRIED)

    def samples(self, key: str | UUID, number: int) -> SamplesView:
        """Returns answers of a candidate that are stored, with prompts as it saw them."""
        return self._view(SamplesView, "GET", f"{experiment_at(key)}/candidates/{number}/samples")

    def ask_samples(
        self, key: str | UUID, number: int, *, split: Split = "search", count: int = 4
    ) -> SamplesView:
        """Has a candidate answer the first items of each objective, and stores what it answered."""
        path = f"{experiment_at(key)}/candidates/{number}/samples"
        body = {"split": split, "count": count}
        return self._view(SamplesView, "POST", path, json=body, timeout=UNHURRIED)

    def queue(self, key: str | UUID, *, page_size: int = 1000, page_token: str | None = None) -> QueuePage:
        """Returns what was put into a search's queue, and which candidates it became."""
        params = page_of(page_size, page_token)
        return self._view(QueuePage, "GET", f"{experiment_at(key)}/queue", params=params)

    def _put_into_queue(self, path: str, body: dict[str, str] | None = None) -> EnqueuedView:
        headers = {"Idempotency-Key": uuid4().hex}
        return self._view(EnqueuedView, "POST", path, json=body, headers=headers)
