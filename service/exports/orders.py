"""From a requested export to the order that a worker carries out."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from search_spaces import Recipe
from search_spaces.recipes.mergekit_yaml import write_recipe
from service.errors import ConflictError, InvalidSpecError, Mistake
from service.experiment.bare_parent import bare_parent, unbeaten
from service.experiment.names import folder_name
from service.experiment.spec import ExperimentSpec, label_of
from service.exports.model_card import Subject, model_card
from service.exports.remembered_answers import remembered_answers
from service.reports.experiments import candidate_detail, experiment_detail
from service.reports.front import front_view
from service.reports.score_columns import read_columns
from service.settings import Settings
from service.specification.roots import is_below
from service.store.models import CandidateRow, ExperimentRow, ExportRow
from service.store.repository import Repository
from workers.protocol.messages import ExportOrder, HubTarget
from workers.protocol.stored_answers import StoredAnswers

HUB = "hub:"
RECIPE_FILE = "mergekit_config.yml"
SCORES_FILE = "evomerge.json"  # also tells evomerge's own folders from others
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What someone wants exported.

    Attributes:
        target: An absolute folder, or `hub:org/name`; None takes the experiment's own folder.
        replace: An earlier export in that folder may go, or a model that the repository holds.
        verify: The checkpoint is loaded by transformers before it gets its name.
        even_a_parent: A candidate that is one of the parents as it is may be exported too.
    """

    candidate: int | Literal["winner"] = "winner"
    target: str | None = None
    private: bool = True
    replace: bool = False
    verify: bool = True
    even_a_parent: bool = False


def request_export(
    repository: Repository, settings: Settings, experiment: ExperimentRow, wanted: Wanted
) -> ExportRow:
    """Puts an export into the queue, after checking all that can be checked from here.

    Raises:
        NotFoundError: There is no such candidate.
        ConflictError: There is no winner yet, no recipe, the folder exists, or the candidate is a bare
            parent.
        BadTargetError: The target is no absolute folder and no Hub repository.
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
    if target.startswith(HUB):
        _check_repository(target)
    else:
        if not is_below(target, settings.export_roots):
            raise BadTargetError(
                f"{target[:200]} is in no folder that this service may export to",
                "choose a folder below one of them, or add one to EVOMERGE_EXPORT_ROOTS",
            )
        target = _checked_folder(target, replace=wanted.replace)
    options = {
        "private": wanted.private,
        "replace": wanted.replace,
        "verify": wanted.verify,
        "even_a_parent": wanted.even_a_parent,
    }
    return repository.create_export(experiment.id, number, target, options)


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


class BadTargetError(InvalidSpecError):
    """A target that is no absolute folder and no Hub repository."""

    code = "bad_target"

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__([Mistake("/target", self.code, detail, remedy)])
        self.detail, self.remedy = detail, remedy


def _check_repository(target: str) -> None:
    name = target.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(name):
        raise BadTargetError(
            f"{name[:200]!r} is no name of a Hub repository",
            "write hub:organization/name, with letters, digits, dots and dashes",
        )


def _checked_folder(target: str, *, replace: bool) -> str:
    if not Path(target).is_absolute():
        raise BadTargetError(
            f"{target[:200]!r} is no absolute folder",
            "write the whole path on the service's machine, or hub:organization/name",
        )
    folder = Path(os.path.normpath(target))
    try:
        place = next(parent for parent in folder.parents if os.path.lexists(parent))
        taken = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise BadTargetError(f"{folder} cannot be used: {error.strerror}", "choose another folder") from error
    if not place.is_dir():
        raise BadTargetError(f"{place} is a file, not a folder", "choose another folder")
    if taken and not replace:
        raise ConflictError(
            f"{folder} exists already", "choose another folder, or replace it (--replace, `replace: true`)"
        )
    if taken and not (folder / SCORES_FILE).is_file():
        raise ConflictError(
            f"{folder} exists and was not written by evomerge, so it is not replaced", "choose another folder"
        )
    return str(folder)


def default_folder(settings: Settings, experiment: ExperimentRow, number: int) -> Path:
    """Returns where a candidate is written when no target is given."""
    return settings.exports / folder_name(experiment.name, experiment.id.hex[-8:]) / str(number)


def order_for(repository: Repository, row: ExportRow, settings: Settings) -> ExportOrder:
    """Returns what a worker is to write."""
    experiment = repository.experiment(row.experiment_id)
    candidate = repository.candidate(row.experiment_id, row.candidate_number)
    recipe = Recipe.model_validate(candidate.recipe)
    to_hub = row.target.startswith(HUB)
    repository_name = row.target.removeprefix(HUB)
    folder = default_folder(settings, experiment, candidate.number) if to_hub else Path(row.target)
    text = write_recipe(recipe)
    verify = bool(row.options.get("verify", True))
    subject = Subject(
        experiment=experiment_detail(repository, experiment),
        candidate=candidate_detail(repository, experiment, candidate),
        baselines=front_view(read_columns(repository.session, experiment, "search"), experiment).baselines,
        recipe=without_local_paths(text, recipe) if to_hub else text,
        address=repository_name if to_hub else folder.name,
        version=version("evomerge"),
        copy_of=bare_parent(recipe, experiment.facts["layers"]),
        verified=verify,
    )
    return ExportOrder(
        recipe=recipe,
        folder=str(folder),
        card=model_card(subject),
        extra_files={SCORES_FILE: scores_json(subject, row), RECIPE_FILE: subject.recipe},
        replace=row.options["replace"] or to_hub or _was_written_for(folder, row),
        hub=HubTarget(repository_name, private=row.options["private"], replace=row.options["replace"])
        if to_hub
        else None,
        verify=verify,
        answers=_answers(repository, experiment, candidate) if verify else None,
    )


def _answers(
    repository: Repository, experiment: ExperimentRow, candidate: CandidateRow
) -> StoredAnswers | None:
    """Returns what the checkpoint must answer as the candidate did."""
    spec = ExperimentSpec.model_validate(experiment.spec)
    return remembered_answers(repository.answers(candidate, "search"), spec)


def without_local_paths(text: str, recipe: Recipe) -> str:
    """Returns a recipe's text with folders named by their last part: the Hub need not know this machine."""
    for parent in (*recipe.all_parents, recipe.tokenizer_owner):
        if parent.model.startswith((".", "/", "~")):
            text = text.replace(str(parent), label_of(parent))
    return text


def scores_json(subject: Subject, row: ExportRow) -> str:
    """Returns what is known of a candidate, for programs."""
    experiment, candidate = subject.experiment, subject.candidate
    content = {
        "evomerge": subject.version,
        "export": str(row.id),
        "experiment": {"id": str(experiment.id), "name": experiment.name},
        "candidate": candidate.number,
        "label": candidate.label,
        "recipe_digest": candidate.digest,
        "copy_of": None if subject.copy_of is None else label_of(subject.copy_of),
        "winner": experiment.winner is not None and experiment.winner.number == candidate.number,
        "scores": {
            split: [score.model_dump(mode="json") for score in scores]
            for split, scores in candidate.scores.items()
        },
    }
    return json.dumps(content, indent=2) + "\n"


def _was_written_for(folder: Path, row: ExportRow) -> bool:
    """Says whether a folder holds this very export: its controller died before it could note so."""
    try:
        content = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("export") == str(row.id)
