"""DatabaseJournal: the search loop's memory as rows; every write proves that the lease is still held.

What the loop notes between two waits is one transaction: it is written when assignments are handed
out, and before the controller waits for an answer.  A crash in between forgets all of it together, as if
the answers had not come yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, selectinload

from evaluators import Score, Split
from search_spaces import Infeasible
from service.errors import LeaseLostError, PoisonError
from service.experiment.candidate import Candidate, FitnessRecord, Remembered, Timings
from service.experiment.enqueued import Enqueued
from service.experiment.status import ExperimentStatus
from service.search.journal import ControlRequest, GenerationSummary
from service.store.database import Database
from service.store.journaling.attempts import MOST_CRASHES, Attempts
from service.store.journaling.batch import Batch, value_rows, write_values
from service.store.journaling.recall import told_candidates
from service.store.model_keys import ModelKeys, known_scores
from service.store.models import CandidateRow, EvaluationRow, ExperimentRow, Json
from service.store.recipe_queue import waiting_recipes
from service.store.repository import Repository
from service.store.rows import evaluation_rows, new_row, outcome_of, remembered
from workers.protocol.messages import Assignment, Outcome, Scored

WORKERS_AWAY, WORKERS_BACK = "workers.away", "workers.back"
ROWS_AT_ONCE = 500  # of a history, that are in memory beside what is made of them
MOST_PENDING = 1_000  # notes on candidates that wait for a commit
REQUEST_INTERVAL = 0.2  # seconds between two looks at the experiment's status
_REQUESTS = {
    ExperimentStatus.PAUSING: ControlRequest.PAUSE,
    ExperimentStatus.STOPPING: ControlRequest.FINISH,
    ExperimentStatus.CANCELLING: ControlRequest.CANCEL,
}


class DatabaseJournal:
    """Remembers one experiment's candidates in the database.

    Attributes:
        stopping: Says whether this controller shuts down.
        held: Says whether the lease holds by this controller's own clock.
        trouble: Says why no worker works for now, if that is so.
        lack_of_space: Says why there is too little space to go on, if that is so; then it asks for a pause.
        attempts: What this controller, and those before it, handed to workers.
        models: Names models by their weights, once the parents are hashed; until then nothing that
            other experiments know is used.
    """

    def __init__(
        self,
        database: Database,
        experiment_id: UUID,
        epoch: int,
        *,
        stopping: Callable[[], bool] = lambda: False,
        owner: str = "",
        held: Callable[[], bool] = lambda: True,
    ) -> None:
        self.database, self.experiment_id, self.epoch = database, experiment_id, epoch
        self.stopping, self.attempts, self.held = stopping, Attempts(experiment_id, owner), held
        self.trouble: Callable[[], str | None] = lambda: None
        self.lack_of_space: Callable[[], str | None] = lambda: None
        self._noted_trouble: str | None = None
        self.models: ModelKeys | None = None
        self._looked = float("-inf")
        self._control_request: ControlRequest | None = None
        self._batch = Batch(experiment_id)  # noted, and not yet durable
        self._open: dict[int, tuple[UUID, Json]] = {}  # by number: those not yet told, and their seconds
        self._next_place = -1  # in the order of telling; -1 while it is not known
        self._store_seconds = 0.0  # of commits since a candidate was told
        self._clock = monotonic()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Opens a transaction that only the lease's holder gets; what was noted before is part of it.

        Raises:
            ConflictError: A candidate that was noted as ended had ended before.
            LeaseLostError: Another controller runs the experiment now.
        """
        self._check_deadline()
        started = monotonic()
        batch, self._batch = self._batch, Batch(self.experiment_id)
        with self.database.session() as session:
            batch.write(session, self.epoch)
            self.attempts.flush(session)
            yield session
        self._store_seconds += monotonic() - started if batch.size else 0.0

    def _check_deadline(self) -> None:
        """Refuses to go on once the lease may have ended, though it has not been taken yet."""
        if not self.held():
            raise LeaseLostError(self.experiment_id)

    def take_over(self) -> None:
        """Takes in what earlier controllers had handed out; call it before anything is."""
        with self.writing() as session:
            self.attempts.inherit(session)

    def preparing(self, *, in_process: bool) -> None:
        """Notes that workers are about to get ready; in this process they may be its end.

        Raises:
            PoisonError: They were the end of too many controllers.
        """
        crashes = self.attempts.preparation_crashes()
        with self.writing() as session:
            if crashes >= MOST_CRASHES and in_process:
                self.attempts.preparation_over(session)
            else:
                self.attempts.begin_preparation(session, in_process=in_process)
                return
        raise PoisonError(crashes)

    def prepared(self) -> None:
        """Notes that the workers are ready."""
        with self.writing() as session:
            self.attempts.preparation_over(session)

    def let_go(self) -> None:
        """Notes that nothing is out any more, by this controller's own decision."""
        with self.writing() as session:
            self.attempts.let_go(session)

    def dispatched(self, assignments: Sequence[Assignment], *, in_process: bool) -> Mapping[UUID, int]:
        """Notes assignments before they are handed out; returns those that must not be, as they kill.

        By their candidates' ids: how many controllers died while they were out.
        """
        poisonous = self.attempts.poison(assignments) if in_process else {}
        harmless = [a for a in assignments if a.candidate not in poisonous]
        if harmless:
            with self.writing() as session:
                self.attempts.begin(session, harmless, in_process=in_process)
        return poisonous

    def answered(self, assignment: UUID, split: Split) -> None:
        """Takes in that a worker has answered."""
        self.attempts.answered(assignment, split)

    def recall(self) -> list[Remembered]:
        """Returns every candidate proposed so far, by number."""
        self.commit()
        with self.database.reading() as session:
            entries = list(told_candidates(session, self.database, self.experiment_id))
        for row in self._rows(CandidateRow.told.is_(None)):
            entries.append(remembered(row))
            self._open[row.number] = (row.id, row.seconds)
        return sorted(entries, key=lambda each: each.candidate.number)

    def recall_split(self, split: Split) -> dict[int, Outcome]:
        """Returns the outcomes of the candidates that were evaluated on a split, by number."""
        outcomes = {row.number: outcome_of(row, split) for row in self._rows()}
        return {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, Scored)}

    def _rows(self, *which: ColumnElement[bool]) -> Iterator[CandidateRow]:
        """Yields the candidates' rows by number, of which only some are in memory at once."""
        with self.database.reading() as session:
            query = select(CandidateRow).where(CandidateRow.experiment_id == self.experiment_id, *which)
            query = query.options(selectinload(CandidateRow.evaluations)).order_by(CandidateRow.number)
            yield from session.scalars(query.execution_options(yield_per=ROWS_AT_ONCE))

    def proposed(self, candidates: Sequence[Candidate]) -> None:
        """Notes candidates before any of them is dispatched."""
        rows = [new_row(self.experiment_id, c, self._model_key(c)) for c in candidates]
        self._open |= {row["number"]: (row["id"], row["seconds"]) for row in rows}
        self._batch.propose(rows)
        self._keep_short()

    def enqueued(self, most: int) -> Sequence[Enqueued]:
        """Returns recipes that people put into the queue and that are no candidates yet, in their order."""
        with self.database.reading() as session:
            waiting = waiting_recipes(session, self.experiment_id)
        proposed = {key for key, _ in self._open.values()}  # as far as they are not durable yet
        return [each for each in waiting if each.id not in proposed][:most]

    def settled(self, candidate: Candidate, outcome: Outcome, timings: Timings) -> None:
        """Notes how a candidate ended, with its scores on the search split; it must not have ended before."""
        seconds = self._batch.end(candidate.id, candidate.number, outcome, timings)
        self._open[candidate.number] = (candidate.id, seconds)
        self._keep_short()

    def commit(self) -> None:
        """Makes durable, in one transaction, what was noted since the last time.

        Raises:
            ConflictError: A candidate had ended before.
            LeaseLostError: Another controller runs the experiment now.
        """
        if self._batch.size:
            with self.writing():
                pass

    def _keep_short(self) -> None:
        if self._batch.size >= MOST_PENDING:
            self.commit()

    def known(self, candidate: Candidate) -> tuple[Score, ...]:
        """Returns what the same model scored on the search split, in whatever experiment.

        One score per benchmark and item set: the worker takes those that fit what it is to ask.
        """
        key = self._model_key(candidate)
        if key is None:
            return ()
        with self.database.reading() as session:
            return known_scores(session, key)

    def _model_key(self, candidate: Candidate) -> str | None:
        recipe = candidate.recipe
        return None if self.models is None or isinstance(recipe, Infeasible) else self.models.key(recipe)

    def told(
        self, record: Sequence[FitnessRecord], progress: GenerationSummary | None, seconds: float
    ) -> None:
        """Notes that the optimizer learned of these candidates, in this order."""
        moment = monotonic()
        store, self._store_seconds = self._store_seconds / len(record), 0.0
        more = {"tell": seconds / len(record), "store": store}
        self._remember_open([each.number for each in record])
        rows = []
        for each in record:
            key, spent = self._open.pop(each.number)
            columns = {"seconds": spent | more, "measures": list(each.measures) or None}
            rows.append({"id": key, "told": self._next_place, "violation": each.violation} | columns)
            self._batch.value(key, each.scores)
            self._next_place += 1
        self._batch.tell(rows)
        self._batch.search(moment - self._clock, progress)
        self._clock = moment
        self._keep_short()

    def _remember_open(self, numbers: Sequence[int]) -> None:
        """Looks up what an earlier controller wrote of candidates, and how many it had told."""
        missing = [number for number in numbers if number not in self._open]
        if not missing and self._next_place >= 0:
            return
        mine = CandidateRow.experiment_id == self.experiment_id
        query = select(CandidateRow.number, CandidateRow.id, CandidateRow.seconds)
        with self.database.reading() as session:
            if self._next_place < 0:
                last = session.scalar(select(func.max(CandidateRow.told)).where(mine))
                self._next_place = 0 if last is None else last + 1
            found = session.execute(query.where(mine, CandidateRow.number.in_(missing)))
            self._open |= {number: (key, seconds) for number, key, seconds in found}

    def reevaluated(self, candidate: Candidate, generation: int, outcome: Outcome, timings: Timings) -> None:
        """Notes what a candidate answered to a later generation's items; the outcome holds all it knows."""
        answered = isinstance(outcome, Scored)
        with self.writing() as session:
            row = session.get_one(CandidateRow, candidate.id)
            row.again = [*(row.again or []), [generation, answered, timings.worked]]
            if isinstance(outcome, Scored):
                changes = evaluation_rows(candidate.id, "search", outcome.scores)
                session.execute(update(EvaluationRow), changes)
            payload = {"number": candidate.number, "generation": generation, "answered": answered}
            Repository(session).add_event(self.experiment_id, "candidate.reevaluated", payload)

    def retold(self, record: Sequence[FitnessRecord]) -> None:
        """Notes what candidates are worth now that they have answered more."""
        numbers = [each.number for each in record]
        query = select(CandidateRow.number, CandidateRow.id).where(
            CandidateRow.experiment_id == self.experiment_id, CandidateRow.number.in_(numbers)
        )
        with self.writing() as session:
            keys: dict[int, UUID] = {number: key for number, key in session.execute(query).all()}  # noqa: C416
            changes = [
                {"id": keys[e.number], "measures": list(e.measures) or None, "violation": e.violation}
                for e in record
            ]
            session.execute(update(CandidateRow), changes)
            write_values(session, [row for e in record for row in value_rows(keys[e.number], e.scores)])

    def control_request(self) -> ControlRequest | None:
        """Returns what is asked of the experiment now; looks at most every fifth of a second.

        Raises:
            LeaseLostError: Another controller runs the experiment now.
        """
        if self.stopping():
            return ControlRequest.STOP
        self._check_deadline()
        if monotonic() - self._looked >= REQUEST_INTERVAL:
            with self.database.reading() as session:
                query = select(ExperimentRow.status, ExperimentRow.epoch)
                status, epoch = session.execute(query.where(ExperimentRow.id == self.experiment_id)).one()
            if epoch != self.epoch:
                raise LeaseLostError(self.experiment_id)
            if status is ExperimentStatus.RUNNING and (lack := self.lack_of_space()) is not None:
                status = self._pause(lack)
            self._looked, self._control_request = monotonic(), _REQUESTS.get(status)
            self._note_trouble()
        return self._control_request

    def _pause(self, reason: str) -> ExperimentStatus:
        """Asks the experiment to pause, as people do, and says why."""
        with self.writing() as session:
            repository = Repository(session)
            row = repository.experiment(self.experiment_id)
            repository.lock(row)
            if row.status is ExperimentStatus.RUNNING:
                repository.move(row, ExperimentStatus.PAUSING, reason=reason)
            return row.status

    def _note_trouble(self) -> None:
        """Tells, once, that the workers are away, and that they are back."""
        trouble = self.trouble()
        if trouble == self._noted_trouble:
            return
        with self.writing() as session:
            repository = Repository(session)
            row = repository.experiment(self.experiment_id)
            if row.reason == self._noted_trouble or trouble is not None:
                row.reason = trouble
            kind, payload = (WORKERS_AWAY, {"cause": trouble}) if trouble is not None else (WORKERS_BACK, {})
            repository.add_event(self.experiment_id, kind, payload)
        self._noted_trouble = trouble
