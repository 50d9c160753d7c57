"""From a requested export to the order that a worker carries out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluators import SPLITS
from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import write_recipe
from service.experiment.bare_parent import bare_parent
from service.experiment.spec import ExperimentSpec, label_of
from service.exports.card.front_picture import PICTURE_FILE, front_picture
from service.exports.card.model_card import model_card
from service.exports.card.scores import with_error
from service.exports.card.shares import mean_shares
from service.exports.card.subject import Release, Sibling, Subject
from service.exports.lineage import as_json
from service.exports.releases import releases_for
from service.exports.remembered_answers import remembered_answers
from service.exports.targets import HUB, SCORES_FILE, default_folder, is_store
from service.reports.experiments import candidate_detail, experiment_detail
from service.reports.front import front_view
from service.reports.score_columns import read_columns
from service.reports.views import FrontView
from service.settings import Settings
from service.store.models import CandidateRow, ExperimentRow, ExportRow
from service.store.repository import Repository
from service.store.types import now
from workers.compatibility.licences.verdict import ParentTerms, judge
from workers.protocol.messages import ExportOrder, HubTarget
from workers.protocol.publications import Publication
from workers.protocol.stored_answers import StoredAnswers

RECIPE_FILE = "mergekit_config.yml"
_GIGABYTE = 1_000_000_000
MOST_SHOWN = 10_000  # candidates off the front, in the picture


def order_for(
    repository: Repository,
    row: ExportRow,
    settings: Settings,
    terms: Sequence[ParentTerms] = (),
    publication: Publication | None = None,
) -> ExportOrder:
    """Returns what a worker is to write.

    Args:
        repository: Of the transaction.
        row: The export.
        settings: The service's.
        terms: The parents', as their cards say; empty where they were not looked at.
        publication: What the Hub's repository holds; None for other targets.
    """
    experiment = repository.experiment(row.experiment_id)
    candidate = repository.candidate(row.experiment_id, row.candidate_number)
    options = row.options
    recipe = _recipe(candidate, options.get("dtype"))
    folder = _folder(row, settings, experiment, candidate)
    of = (experiment, candidate, recipe)
    day = (row.created_at or now()).date()
    releases = () if publication is None else releases_for(repository, publication, of, day)
    subject, picture = _subject(repository, of, row, terms, releases)
    verify = bool(options.get("verify", True))
    return ExportOrder(
        recipe=recipe,
        folder=str(folder),
        card=model_card(subject),
        extra_files={SCORES_FILE: scores_json(subject, row), RECIPE_FILE: subject.recipe},
        pictures={} if picture is None else {PICTURE_FILE: picture},
        replace=options["replace"] or _leaves(row) or _was_written_for(folder, row),
        hub=_hub_target(row, experiment, releases),
        remote=row.target if is_store(row.target) else None,
        replace_remote=options["replace"],
        shard_bytes=int(options.get("shard_gigabytes", 5.0) * _GIGABYTE),
        memory_limit=options.get("memory_limit"),
        format=options.get("format", "hf"),
        quantize=tuple(options.get("quantize") or ()),
        sign=bool(options.get("sign", False)),
        verify=verify,
        answers=_answers(repository, experiment, candidate) if verify else None,
    )


def _recipe(candidate: CandidateRow, dtype: str | None) -> Recipe:
    """Returns the candidate's recipe, with another number format where one is wanted."""
    stored = candidate.recipe or {}
    return Recipe.model_validate(stored if dtype is None else {**stored, "out_dtype": dtype})


def _folder(row: ExportRow, settings: Settings, experiment: ExperimentRow, candidate: CandidateRow) -> Path:
    return default_folder(settings, experiment, candidate.number) if _leaves(row) else Path(row.target)


def _leaves(row: ExportRow) -> bool:
    """Says whether the checkpoint goes to another machine."""
    return row.target.startswith(HUB) or is_store(row.target)


def _hub_target(row: ExportRow, experiment: ExperimentRow, releases: Sequence[Release]) -> HubTarget | None:
    if not row.target.startswith(HUB):
        return None
    create_pr = bool(row.options.get("create_pr", False))
    return HubTarget(
        row.target.removeprefix(HUB),
        private=row.options["private"],
        replace=row.options["replace"],
        create_pr=create_pr,
        tag=f"v{releases[0].version}" if releases and not create_pr else None,
        collection=f"{experiment.name}: front" if row.options.get("family") else None,
    )


def _subject(
    repository: Repository,
    of: tuple[ExperimentRow, CandidateRow, Recipe],
    row: ExportRow,
    terms: Sequence[ParentTerms],
    releases: Sequence[Release],
) -> tuple[Subject, bytes | None]:
    """Returns what the card is about, and its picture."""
    experiment, candidate, recipe = of
    search, *held_out = (read_columns(repository.session, experiment, split) for split in SPLITS)
    front = front_view(search, experiment, dominated=MOST_SHOWN, beside=held_out)
    picture = front_picture(front, candidate.number)
    text, facts = write_recipe(recipe), experiment.facts
    to_hub = row.target.startswith(HUB)
    searched = [one for one in candidate.evaluations if one.split == "search"]
    subject = Subject(
        experiment=experiment_detail(repository, experiment),
        candidate=candidate_detail(repository, experiment, candidate),
        baselines=front.baselines,
        recipe=without_local_paths(text, recipe) if _leaves(row) else text,
        address=row.target.removeprefix(HUB) if to_hub else Path(row.target).name,
        version=version("evomerge"),
        copy_of=bare_parent(recipe, facts["layers"]),
        verified=bool(row.options.get("verify", True)),
        method=recipe.method,
        shares=mean_shares(recipe, facts["layers"], facts["layer_prefix"]),
        terms=terms,
        licence=judge(terms) if terms else None,
        accepted=bool(row.options.get("accept_licences", False)),
        item_sets={one.benchmark: one.item_set for one in searched if one.item_set},
        picture=PICTURE_FILE if picture is not None else None,
        dtype=row.options.get("dtype"),
        sees=facts.get("eyes") is not None,
        siblings=_siblings(front, row),
        releases=releases,
    )
    return subject, picture


def _siblings(front: FrontView, row: ExportRow) -> list[Sibling]:
    """Returns the other members of the front that are exported with this one."""
    points = {point.number: point for point in (*front.front, *front.baselines, *front.dominated)}
    stem = row.target.removeprefix(HUB)[: -len(str(row.candidate_number))]
    found = []
    for number in row.options.get("family") or ():
        if number == row.candidate_number or number not in points:
            continue
        scores = points[number].scores.get("test") or points[number].scores.get("search") or ()
        told = ", ".join(f"{score.benchmark} {with_error(score)}" for score in scores)
        address = f"{stem}{number}" if row.target.startswith(HUB) else f"../{number}"
        found.append(Sibling(number, address, told))
    return found


def _answers(
    repository: Repository, experiment: ExperimentRow, candidate: CandidateRow
) -> StoredAnswers | None:
    """Returns what the checkpoint must answer as the candidate did."""
    spec = ExperimentSpec.model_validate(experiment.spec)
    return remembered_answers(repository.answers(candidate, "search"), spec)


def without_local_paths(text: str, recipe: Recipe) -> str:
    """Returns a recipe's text with folders named by their last part: the Hub need not know this machine."""
    named = {*recipe.all_parents, recipe.tokenizer_owner}
    for parent in sorted(named, key=lambda parent: len(str(parent)), reverse=True):  # /a/b is in /a/bc
        if parent.model.startswith((".", "/", "~")):
            text = text.replace(str(parent), label_of(parent))
    return text


def scores_json(subject: Subject, row: ExportRow) -> str:
    """Returns what is known of a candidate, for programs."""
    experiment, candidate = subject.experiment, subject.candidate
    content: dict[str, Any] = {
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
        "releases": as_json(subject.releases),
    }
    return json.dumps(content, indent=2) + "\n"


def _was_written_for(folder: Path, row: ExportRow) -> bool:
    """Says whether a folder holds this very export: its controller died before it could note so."""
    try:
        content = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("export") == str(row.id)
