"""Requests: what someone wants exported, checked before it is put into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from search_spaces import Recipe
from service.errors import ConflictError
from service.experiment.bare_parent import bare_parent, unbeaten
from service.experiment.spec import ExperimentSpec, label_of
from service.exports.targets import HUB, BadTargetError, checked_target, default_folder
from service.settings import Settings
from service.store.database import Database
from service.store.models import CandidateRow, ExperimentRow, ExportRow
from service.store.repository import Repository
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.verdict import LicenceProblem, judge
from workers.protocol.messages import ExportFormat


@dataclass(frozen=True, slots=True)
class Wanted:
    """What someone wants exported.

    Attributes:
        target: An absolute folder, `hub:org/name`, or an object store's address; None takes the
            experiment's own folder.
        replace: An earlier export there may go, or a model that the repository holds.
        verify: The checkpoint is loaded by transformers, and scored again, before it gets its name.
        even_a_parent: A candidate that is one of the parents as it is may be exported too.
        accept_licences: What stands in the way of publishing, by the parents' licences, is accepted.
        create_pr: A pull request is opened instead of changing the repository's main branch.
        dtype: Of the weights; None keeps the recipe's.
        shard_gigabytes: Of the largest file of weights.
        memory_limit: Bytes that the worker may have resident.
        format: What is written.
        quantize: Kinds of quantized copies that are written beside it.
        sign: All files are signed with the key of the worker's machine.
        family: Numbers of the candidates of a front that are exported together, this one among them; the
            target ends with this one's number, and theirs with theirs.
    """

    candidate: int | Literal["winner"] = "winner"
    target: str | None = None
    private: bool = True
    replace: bool = False
    verify: bool = True
    even_a_parent: bool = False
    accept_licences: bool = False
    create_pr: bool = False
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    shard_gigabytes: float = 5.0
    memory_limit: int | None = None
    format: ExportFormat = "hf"
    quantize: tuple[str, ...] = ()
    sign: bool = False
    family: tuple[int, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """What is kept with the export, beside candidate and target."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("candidate", "target")}
        return kept | {"family": list(self.family), "quantize": list(self.quantize)}


def publishing_problems(database: Database, key: str, wanted: Wanted) -> tuple[LicenceProblem, ...]:
    """Returns what the parents' licences put in the way of a push to the Hub; nothing for other targets.

    Reads the parents' cards, and asks the Hub: nothing is locked meanwhile.

    Raises:
        NotFoundError: There is no such experiment.
    """
    if wanted.accept_licences or not (wanted.target or "").startswith(HUB):
        return ()
    with database.reading() as session:
        spec = ExperimentSpec.model_validate(Repository(session).experiment(key).spec)
    verdict = judge(terms_of(spec.all_parents))
    naming = verdict.naming_problem(str(wanted.target).rpartition("/")[2])
    return (*verdict.problems, *([naming] if naming is not None else []))


def request_export(
    repository: Repository,
    settings: Settings,
    experiment: ExperimentRow,
    wanted: Wanted,
    problems: Sequence[LicenceProblem] = (),
) -> ExportRow:
    """Puts an export into the queue, after checking all that can be checked from here.

    Raises:
        ServiceError: As `checked_export`.
    """
    number, target = checked_export(repository, settings, experiment, wanted, problems)
    return repository.create_export(experiment.id, number, target, wanted.options)


def checked_export(
    repository: Repository,
    settings: Settings,
    experiment: ExperimentRow,
    wanted: Wanted,
    problems: Sequence[LicenceProblem] = (),
) -> tuple[int, str]:
    """Returns the candidate's number and the target as it is kept, after all that can be checked from here.

    Args:
        repository: Of the transaction.
        settings: The service's.
        experiment: Whose candidate it is.
        wanted: What is wanted.
        problems: What `publishing_problems` found.

    Raises:
        NotFoundError: There is no such candidate.
        ConflictError: There is no winner yet, no recipe, the folder exists, the candidate is a bare parent,
            or licences are in the way.
        BadTargetError: The target is no absolute folder, no Hub repository and no object store.
    """
    number = _number(experiment, wanted.candidate)
    candidate = repository.candidate(experiment.id, number)
    if candidate.recipe is None:
        raise ConflictError(
            f"candidate {number} is {candidate.status} and has no recipe",
            "choose a candidate that was scored",
        )
    if not wanted.even_a_parent:
        _check_is_merge(experiment, candidate, wanted)
    target = wanted.target or str(default_folder(settings, experiment, number))
    target = checked_target(target, settings.export_roots, replace=wanted.replace)
    _check_family(target, number, wanted.family)
    _check_licences(problems)
    return number, target


def _check_family(target: str, number: int, family: Sequence[int]) -> None:
    if not family:
        return
    named = target.endswith((f"-{number}", f"/{number}"))
    if not named or number not in family:
        detail = f"candidate {number} of the family {list(family)} cannot go to {target[:200]!r}"
        raise BadTargetError(detail, f"end the target with -{number} or /{number}, and name all members")


def _check_licences(problems: Sequence[LicenceProblem]) -> None:
    if problems:
        raise ConflictError(
            f"licences stand in the way of publishing: {'; '.join(each.detail for each in problems)}",
            "see `evomerge licences`; to publish all the same, with this on the card, say --accept-licences "
            "(`accept_licences: true`)",
        )


def _check_is_merge(experiment: ExperimentRow, candidate: CandidateRow, wanted: Wanted) -> None:
    copied = bare_parent(Recipe.model_validate(candidate.recipe), experiment.facts["layers"])
    if copied is None:
        return
    said = unbeaten(candidate.kind, candidate.label) if wanted.candidate == "winner" else None
    raise ConflictError(
        f"candidate {candidate.number} is {label_of(copied)} as it is, no merge"
        + (f": {said}" if said else ""),
        "choose a merge by its number, use that parent itself, or ask for its copy (--even-a-parent, "
        "`even_a_parent: true`)",
    )


def _number(experiment: ExperimentRow, wanted: int | Literal["winner"]) -> int:
    if wanted != "winner":
        return wanted
    if experiment.winner is None:
        raise ConflictError(
            f"experiment {experiment.name} has no winner yet",
            "wait until it has succeeded, or name a candidate by its number",
        )
    return int(experiment.winner["number"])
