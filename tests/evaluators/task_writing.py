"""Writes lm-eval tasks of every kind over the tiny models' words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Rows = Sequence[Mapping[str, Any]]

CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{q}}",
    "doc_to_target": "{{a}}",
    "doc_to_choice": ["w1", "w2", "w3 w4", "w4"],
    "metric_list": [
        {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
    ],
}
GENERATION: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "{{q}}",
    "doc_to_target": "w{{a}}",
    "generation_kwargs": {"until": ["w7", "w20"], "max_gen_toks": 6, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "filter_list": [
        {"name": "whole", "filter": [{"function": "take_first"}]},
        {
            "name": "number",
            "filter": [{"function": "regex", "regex_pattern": "(w[0-9])"}, {"function": "take_first"}],
        },
    ],
}
ROLLING: dict[str, Any] = {
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{q}}",
    "metric_list": [
        {"metric": "word_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False},
        {"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False},
    ],
}


def rows(first: int, count: int = 12) -> list[dict[str, Any]]:
    """Returns items that differ from those of every other `first` at least `count` away."""
    numbers = range(first, first + count)
    return [{"q": f"w{n % 28} w{n // 28} w{n * 5 % 28}", "a": n % 4} for n in numbers]


def three_splits(count: int = 12) -> dict[str, Rows]:
    return {"search": rows(0, count), "selection": rows(100, count), "test": rows(200, count)}


def write_task(
    folder: Path, name: str, data: Mapping[str, Rows], *, relative: bool = False, **config: Any
) -> Path:
    """Writes a task file and its data, one JSONL file per split of the data set."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, items in data.items():
        path = folder / f"{name}_{split}.jsonl"
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        files[split] = path.name if relative else str(path)
    whole = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}, **config}
    whole.setdefault("test_split", next(iter(data)))
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(whole))
    return folder
