"""ExperimentRun: one controller's time with one experiment, from whatever state its rows are in.

Starting, resuming and recovering after a crash are one path: rebuild the search loop from the
rows, turn it, examine, end.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from importlib.metadata import version

import structlog
from sqlalchemy.exc import SQLAlchemyError

from evaluators import EvaluationError
from search_spaces import Parent
from search_spaces.errors import SpaceError
from service.errors import ServiceError
from service.examination.distribution_mean import propose_mean
from service.examination.protocol import Winner, examine
from service.examination.scale_line import propose_scaled
from service.experiment.candidate import CandidateStatus
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.optimizers import Optimizer
from service.search.journal import ControlRequest
from service.search.loop import SearchLoop
from service.search.plan import Ending
from service.settings import Settings
from service.specification.planning import (
    build_optimizer_for,
    build_pool,
    build_space_for,
    plan_for,
    window_for,
)
from service.store.journal import DatabaseJournal
from service.store.model_keys import ModelKeys, hash_folder
from service.store.models import ExperimentRow
from service.store.repository import Repository
from service.store.rows import objectives_of
from service.tracing import span
from workers.checkpoints.hub.parent_files import local_folder
from workers.errors import CheckpointError, WorkerError, WorkInterruptedError
from workers.pools.listening import listening
from workers.protocol.failure import LONGEST_CAUSE, Failure
from workers.protocol.messages import WorkerShare, Workforce, Workload

logger = structlog.get_logger()

_S = ExperimentStatus
BY_REQUEST = "by request"
# What specs mean that were stored before they could say it.
_AS_BEFORE_CHAT = {"chat": {"apply": "off"}}
_COMMIT = re.compile(r"[0-9a-f]{40}")


class ExperimentRun:
    """Has an experiment searched and examined, as far as neither has been done."""

    def __init__(self, journal: DatabaseJournal, workforce: Workforce, settings: Settings) -> None:
        self.journal, self.workforce, self.settings = journal, workforce, settings
        self.key = journal.experiment_id

    def run(self) -> None:
        """Goes on until the experiment ends, a request stops it, or the controller shuts down."""
        with self.journal.database.reading() as session:
            row = Repository(session).experiment(self.key)
        if row.status is _S.PAUSING:  # requested while no controller ran it
            self.end(_S.PAUSED, reason=BY_REQUEST)
        elif row.status is _S.CANCELLING:
            self.end(_S.CANCELLED, reason=BY_REQUEST)
        else:
            spec = ExperimentSpec.model_validate(_AS_BEFORE_CHAT | row.spec)
            self.journal.take_over()
            try:
                with span("prepare"):
                    self._get_ready(row, spec)
            except WorkInterruptedError:
                self._give_way()
                return
            if row.status is _S.EXAMINING or self._search(row, spec) is _S.EXAMINING:
                self._examine(spec, row)

    def end(
        self,
        wanted: ExperimentStatus,
        *,
        reason: str | None = None,
        failure: Failure | None = None,
        winner: Winner | None = None,
    ) -> ExperimentStatus:
        """Gives the experiment a status, and returns it: a request that came in between goes first."""
        with self.journal.writing() as session:
            self.journal.attempts.let_go(session)
            repository = Repository(session)
            row = repository.experiment(self.key)
            if row.status is _S.CANCELLING:
                wanted, failure, winner = _S.CANCELLED, None, None
            if wanted is _S.PAUSED:
                if row.status is not _S.PAUSING:
                    return row.status  # people changed their mind: the runner takes it up again
                reason = row.reason or reason  # as it was asked for
            if wanted is _S.CANCELLED:
                repository.cancel_candidates(self.key)
            if winner is not None:
                reason = row.reason  # why the search ended
                row.winner = asdict(winner)
                repository.add_event(self.key, "examination.done", {"winner": row.winner})
            repository.move(row, wanted, reason=reason, failure=failure)
            return wanted

    def pause(self, reason: str) -> None:
        """Pauses the experiment at once, where it can be paused, and says why."""
        with self.journal.writing() as session:
            repository = Repository(session)
            row = repository.experiment(self.key)
            if row.status is _S.RUNNING:
                repository.move(row, _S.PAUSING, reason=reason)
        self.end(_S.PAUSED, reason=reason)

    def _get_ready(self, row: ExperimentRow, spec: ExperimentSpec) -> None:
        """Readies the workers and hashes the parents, either of which may take hours.

        Raises:
            WorkInterruptedError: The experiment is to be paused or cancelled, or the controller shuts down.
            PoisonError: This was the end of controllers before.
        """
        self.journal.preparing(in_process=self.workforce.in_process)
        self.workforce.prepare(workload_for(row, spec, self.settings), self._is_interrupted)
        self.journal.models = listening(lambda: self._models(spec), self._is_interrupted)
        self.journal.prepared()

    def _is_interrupted(self) -> bool:
        return self.journal.control_request() not in (None, ControlRequest.FINISH)

    def _give_way(self) -> None:
        """Does what was asked for while the workers got ready."""
        match self.journal.control_request():
            case ControlRequest.PAUSE:
                self.end(_S.PAUSED, reason=BY_REQUEST)
            case ControlRequest.CANCEL:
                self.end(_S.CANCELLED, reason=BY_REQUEST)
            case _:  # the controller shuts down, or people changed their mind: the runner takes it up again
                self.journal.let_go()

    def _search(self, row: ExperimentRow, spec: ExperimentSpec) -> ExperimentStatus:
        """Turns the search loop; returns the experiment's status after it."""
        space = build_space_for(spec, row.facts)
        optimizer = build_optimizer_for(spec, space, row.facts)
        window = self._window(row, spec, optimizer)
        plan = plan_for(spec, row.facts, window=window, gpus=self.settings.gpus_per_worker)
        plan = replace(plan, searched=row.search_seconds)
        # Asking changes nothing, but the first time it loads libraries, for seconds: no candidate's cost.
        optimizer.ask([len(plan.baselines)])
        loop = SearchLoop(
            plan, space=space, optimizer=optimizer, workforce=self.workforce, journal=self.journal
        )
        with span("search"):
            ending = loop.run()
        match ending:
            case Ending.STOPPED:
                self.journal.let_go()
                return _S.RUNNING
            case Ending.PAUSED:
                return self.end(_S.PAUSED, reason=BY_REQUEST)
            case Ending.CANCELLED:
                return self.end(_S.CANCELLED, reason=BY_REQUEST)
            case Ending.TOO_MANY_FAILURES:
                return self.end(_S.FAILED, failure=self._too_many_failures(spec))
        # Baselines may reach a target alone: then one of them wins.
        if ending is not Ending.TARGET_REACHED and not self._evolved_something():
            return self.end(_S.FAILED, failure=_nothing_scored(f"the search ended ({ending}) without one"))
        propose_scaled(self.journal, spec, build_pool(spec, row.facts), space.variables)
        if spec.examination.mean:
            propose_mean(self.journal, optimizer, space)
        return self.end(_S.EXAMINING, reason=loop.reason)

    def _models(self, spec: ExperimentSpec) -> ModelKeys | None:
        """Returns what names models by their weights; None where no name says what the parents hold."""
        try:
            contents = {parent: self._content(parent) for parent in spec.all_parents}
        except (OSError, WorkerError) as error:
            logger.warning("scores_not_shared", experiment=str(self.key), cause=str(error))
            return None
        return ModelKeys(contents, f"evomerge {version('evomerge')} {spec.dtype}")

    def _content(self, parent: Parent) -> str:
        """Returns a name for what a parent's files, and its adapter's, hold.

        Raises:
            CheckpointError: A Hub repository is named by a branch, which moves.
        """
        if (adapter := parent.adapter_as_parent) is not None:
            return f"{self._content(parent.without_adapter)}+{self._content(adapter)}"
        folder = local_folder(parent)
        if folder is not None:
            return hash_folder(self.journal.database, folder)
        if _COMMIT.fullmatch(parent.revision or "") is None:
            raise CheckpointError(str(parent), "its revision is no commit", "name the commit's 40 digits")
        return str(parent)

    def _window(self, row: ExperimentRow, spec: ExperimentSpec, optimizer: Optimizer) -> int | None:
        """Returns how many candidates may be out at once; what is chosen at first stays."""
        window = window_for(spec, optimizer, row.facts, workers=self.workforce.slots)
        if window is not None and row.facts.get("window") != window:
            with self.journal.writing() as session:
                again = Repository(session).experiment(self.key)
                again.facts = {**again.facts, "window": window}
        return window

    def _examine(self, spec: ExperimentSpec, row: ExperimentRow) -> None:
        variables = build_space_for(spec, row.facts).variables
        with span("examine"):
            found = examine(self.journal, self.workforce, spec, objectives_of(row), variables)
        match found:
            case Winner() as winner:
                self.end(_S.SUCCEEDED, winner=winner)
            case ControlRequest.CANCEL:
                self.end(_S.CANCELLED, reason=BY_REQUEST)
            case None:
                self.end(_S.FAILED, failure=_nothing_scored("no finalist has scores on the selection split"))
            case _:  # the controller shuts down: the next one goes on
                self.journal.let_go()

    def _evolved_something(self) -> bool:
        with self.journal.database.reading() as session:
            return Repository(session).has_evolved(self.key)

    def _too_many_failures(self, spec: ExperimentSpec) -> Failure:
        with self.journal.database.reading() as session:
            failed = Repository(session).candidates(self.key, status=CandidateStatus.FAILED)
        last = Failure.from_json(failed[-1].failure or {})
        return Failure(
            "too_many_failures",
            f"{len(failed)} candidates failed, {spec.budget.failures} are allowed; the last: {last.cause}",
            last.remedy or "look at the candidates that failed",
        )


def workload_for(row: ExperimentRow, spec: ExperimentSpec, settings: Settings) -> Workload:
    """Returns what all assignments of an experiment share."""
    return Workload(
        experiment=row.id,
        parents=spec.all_parents,
        benchmarks=spec.benchmarks,
        evaluator="lm_eval" if all(b.kind == "lm_eval" for b in spec.benchmarks) else "composite",
        dtype=spec.dtype,
        batch_size=spec.batch_size,
        backend=spec.backend,
        count=settings.workers,
        gpus_per_worker=settings.gpus_per_worker,
        share=WorkerShare(spec.workers.min, spec.workers.max, spec.priority),
    )


def failure_of(error: Exception) -> Failure:
    """Returns why an experiment failed, and what to do, for people to read."""
    if isinstance(error, ServiceError):
        return Failure(error.code, error.detail, error.remedy)
    if isinstance(error, (WorkerError, SpaceError, EvaluationError)):
        return Failure.of(error)
    return Failure(
        "internal_error",
        f"{type(error).__name__}: {_told(error)}"[:LONGEST_CAUSE],
        "this is a mistake in evomerge: the service's log tells where",
    )


def _told(error: Exception) -> str:
    """Returns what an error says; of the database's neither its statement nor what was stored."""
    if isinstance(error, SQLAlchemyError):
        said = str(getattr(error, "orig", None) or "").splitlines()
        return said[0] if said else "the database refused a statement"
    return str(error)


def _nothing_scored(cause: str) -> Failure:
    return Failure(
        "no_feasible_candidate",
        f"no evolved candidate could be used: {cause}",
        "look at the candidates' failures; widen the budget or the search space",
    )
