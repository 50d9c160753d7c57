"""Model keys: what names a merged model by its recipe and its parents' weights, wherever they lie.

A recipe's digest names its parents by path; the files there may change, and two paths may hold the
same weights.  A model key names them by content, so that scores can be used in another experiment.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from evaluators import Score
from search_spaces import Parent, Recipe
from service.experiment.candidate import CandidateStatus
from service.store.database import Database
from service.store.models import CandidateRow, HashedFileRow
from service.store.rows import score_of

CHUNK = 16 * 2**20
_MOST_ROWS = 20  # that hold scores of one model: enough for as many sets of tasks


@dataclass(frozen=True, slots=True)
class ModelKeys:
    """Names models over parents whose content is known.

    Attributes:
        contents: Hash of each parent's files.
        engine: What else makes the same recipe another model or another score: the version of the
            program, the number format.
    """

    contents: Mapping[Parent, str]
    engine: str

    def key(self, recipe: Recipe) -> str | None:
        """Returns the model's name; None where a parent's content is not known."""
        if any(parent not in self.contents for parent in recipe.all_parents):
            return None
        names = {str(parent): self.contents[parent] for parent in recipe.all_parents}
        content = _renamed(json.loads(recipe.canonical_json()), names)
        text = json.dumps([self.engine, content], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def hash_folder(database: Database, folder: Path) -> str:
    """Returns the hash of a checkpoint's weights, configuration and tokenizer.

    Files that did not change since they were last hashed are not read again.

    Raises:
        OSError: A file cannot be read.
    """
    names = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in (".safetensors", ".json"))
    names += [path for path in (folder / "tokenizer.model", folder / "chat_template.jinja") if path.is_file()]
    whole = hashlib.sha256()
    for path in names:
        whole.update(f"{path.name}\n{_hash_file(database, path.resolve())}\n".encode())
    return whole.hexdigest()


def known_scores(session: Session, key: str) -> tuple[Score, ...]:
    """Returns what a model scored on search splits: per benchmark's item set a full score, or its parts."""
    query = (
        select(CandidateRow)
        .where(CandidateRow.model_key == key, CandidateRow.status == CandidateStatus.SCORED)
        .options(selectinload(CandidateRow.evaluations))
        .limit(_MOST_ROWS)
    )
    found: dict[str, list[Score]] = {}
    for row in session.scalars(query):
        for evaluation in row.evaluations:
            if evaluation.split == "search" and evaluation.item_set:
                same = found.setdefault(f"{evaluation.benchmark}\n{evaluation.item_set}", [])
                same.append(score_of(evaluation))
    return tuple(score for same in found.values() for score in _enough(same))


def _enough(same: Sequence[Score]) -> Sequence[Score]:
    """Returns one score of all items where there is one, else all parts."""
    whole = next((score for score in same if not score.item_indices), None)
    return same if whole is None else [whole]


def _renamed(content: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Returns the content with every parent's name replaced by its content's hash."""
    if isinstance(content, Mapping):
        return {key: _renamed(value, names) for key, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_renamed(value, names) for value in content]
    return names.get(content, content) if isinstance(content, str) else content


def _hash_file(database: Database, path: Path) -> str:
    status = path.stat()
    with database.reading() as session:
        known = session.get(HashedFileRow, str(path))
    if known is not None and (known.bytes, known.modified) == (status.st_size, status.st_mtime_ns):
        return known.sha256
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    with database.session() as session:
        session.merge(
            HashedFileRow(
                path=str(path),
                bytes=status.st_size,
                modified=status.st_mtime_ns,
                sha256=digest.hexdigest(),
            )
        )
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
