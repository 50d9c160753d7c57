"""Items that lie in a plain file: prompts, or texts.

A `.jsonl` file has one object a line, with a `prompt` or `text`; in any other file prompts are its
lines, and texts its paragraphs.
"""

from __future__ import annotations

import json
from pathlib import Path

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError, SplitError
from evaluators.permissions import check_place
from evaluators.splits import SPLITS, ItemShares, NamedSplits, Split

MOST_BYTES = 256 * 2**20


def items_of(benchmark: Benchmark, *, field: str) -> dict[Split, tuple[str, ...]]:
    """Returns a file's items per split.

    Args:
        benchmark: With its `file`, and how it is divided.
        field: `prompt` or `text`.

    Raises:
        EvaluationError: The file cannot be read, or lies where the operator allows none.
        SplitError: A split has no items.
    """
    rule = benchmark.splits or ItemShares()
    if isinstance(rule, NamedSplits):
        raise SplitError("splits", f"{benchmark.file} has no splits of its own", "divide it by shares")
    texts = _read(Path(benchmark.file or ""), field)
    found: dict[Split, tuple[str, ...]] = {}
    for split in SPLITS:
        chosen = rule.items_of(split, [{field: text} for text in texts])
        found[split] = tuple(texts[place] for place in chosen[: benchmark.max_items])
        if not chosen:
            raise SplitError(
                "splits",
                f"split {split} of {benchmark.file}, which has {len(texts)} items, has none",
                "give it a larger share, or the file more items",
            )
    return found


def references_of(benchmark: Benchmark) -> dict[str, str]:
    """Returns the `reference` of each prompt of a `.jsonl` file: the answer that others are compared with.

    Raises:
        EvaluationError: The file cannot be read, or a prompt has no reference.
    """
    path = Path(benchmark.file or "")
    if path.suffix != ".jsonl":
        remedy = 'name a .jsonl file of {"prompt": ..., "reference": ...}'
        raise EvaluationError("file", f"{path} has no reference answers", remedy)
    pairs = zip(_read(path, "prompt", unique=False), _read(path, "reference", unique=False), strict=True)
    return dict(pairs)


def _read(path: Path, field: str, *, unique: bool = True) -> list[str]:
    check_place("file", path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise EvaluationError("file", f"{path} is larger than {MOST_BYTES >> 20} MiB", "use a part of it")
        content = path.read_text(encoding="utf-8")
        texts = _of_json(content, field) if path.suffix == ".jsonl" else _of_text(content, field)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        detail = f"{path} cannot be read: {type(error).__name__}: {error}"
        raise EvaluationError("file", detail, "name a UTF-8 text, or a .jsonl file with prompts") from error
    return list(dict.fromkeys(text for text in texts if text.strip())) if unique else texts


def _of_json(content: str, field: str) -> list[str]:
    rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    return [str(row[field]) for row in rows]


def _of_text(content: str, field: str) -> list[str]:
    parts = content.splitlines() if field == "prompt" else content.split("\n\n")
    return [part.strip() for part in parts]
