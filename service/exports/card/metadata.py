"""The metadata at a card's head, made and checked by the Hub's own library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from service.exports.card.markdown import hub_name
from service.exports.card.subject import Subject

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def metadata(subject: Subject) -> str:
    """Returns the YAML of a card's head, between its two lines of dashes."""
    from huggingface_hub import ModelCardData  # slow to import

    copied = subject.copy_of
    content: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": _kind(subject),
        "tags": ["merge", "mergekit", "evomerge"] if copied is None else ["evomerge"],
    }
    if parents := _parents(subject):  # local folders have no page on the Hub that a link could lead to
        content["base_model"] = parents
    results = list(_results(subject)) if copied is None else []
    if results:
        content |= {"eval_results": results, "model_name": subject.address.rpartition("/")[2]}
    content |= {**_licence(subject), **_heritage(subject)}
    data = ModelCardData(**content)
    if parents and copied is None:  # the Hub has no word for a copy
        data["base_model_relation"] = "merge"
    text: str = data.to_yaml(line_break="\n")
    return f"---\n{text.rstrip()}\n---"


def _parents(subject: Subject) -> list[str]:
    experiment = subject.experiment
    references = [*experiment.parents, *([experiment.base] if experiment.base else [])]
    if subject.copy_of is not None:
        references = [str(subject.copy_of)]
    return list(dict.fromkeys(name for name in map(hub_name, references) if name))


def _licence(subject: Subject) -> Mapping[str, str]:
    verdict = subject.licence
    if verdict is None or (verdict.licence == "other" and verdict.name == "unknown"):
        return {}  # nothing is known, and nothing is claimed
    told = {"license": verdict.licence}
    if verdict.name is not None:
        told["license_name"] = re.sub(r"[^a-z0-9.-]+", "-", verdict.name.lower()).strip("-")
    if verdict.link is not None and verdict.licence == "other":
        told["license_link"] = verdict.link
    return told


def _heritage(subject: Subject) -> Mapping[str, list[str]]:
    """Returns the languages and data sets that the parents' cards name, each once."""
    languages = [text.lower() for each in subject.terms for text in each.languages]
    datasets = [text for each in subject.terms for text in each.datasets]
    found = {
        "language": [text for text in dict.fromkeys(languages) if _LANGUAGE.fullmatch(text)],
        "datasets": [text for text in dict.fromkeys(datasets) if _DATASET.fullmatch(text)],
    }
    return {name: values for name, values in found.items() if values}


def _kind(subject: Subject) -> str:
    """Returns the Hub's word for what the model does."""
    return "image-text-to-text" if subject.sees else "text-generation"


def _results(subject: Subject) -> Iterator[EvalResult]:
    """Yields the scores on the test split, which nothing was chosen by."""
    from huggingface_hub import EvalResult

    tasks = {objective.name: objective.task for objective in subject.experiment.objectives}
    for score in subject.candidate.scores.get("test", ()):
        yield EvalResult(
            task_type=_kind(subject),
            dataset_type=tasks.get(score.benchmark) or score.benchmark,
            dataset_name=score.benchmark,
            dataset_split="held-out part of the task's items",
            metric_type=score.metric.partition(",")[0],
            metric_name=f"{score.metric} on {score.items} held-out items, ± {score.stderr:.3f}",
            metric_value=round(score.value, 4),
        )
