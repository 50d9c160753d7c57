"""The README.md of an exported checkpoint: where it comes from, and what may be believed of it.

Only scores on the test split are called results: the search saw one of the others, and the winner
was picked on the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from evaluators import Split
from search_spaces import Parent
from service.examination.sentences import sentences
from service.experiment.candidate import CandidateKind
from service.experiment.spec import label_of
from service.reports.views import CandidateDetail, ExperimentDetail, FrontPoint, ScoreView

MOST_BASELINES = 24
# Anywhere in a text; at its beginning, where a list or a heading could begin; in a bare address.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~&$!]|^[-+#=]|(?<=www)\.|:(?=//)")
_NUMBERED = re.compile(r"^(\d+)([.)])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SPLIT_TITLES: dict[Split, str] = {"search": "search", "selection": "selection", "test": "test (held out)"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a card is about.

    Attributes:
        baselines: What the candidate is compared to, with their scores.
        recipe: As mergekit YAML.
        address: What `from_pretrained` is called with: a repository or a folder's name.
        version: Of evomerge.
        copy_of: The parent that the candidate is as it is, None for a merge.
        verified: It is loaded by transformers before it gets its name.
    """

    experiment: ExperimentDetail
    candidate: CandidateDetail
    baselines: Sequence[FrontPoint]
    recipe: str
    address: str
    version: str
    copy_of: Parent | None = None
    verified: bool = True


def model_card(subject: Subject) -> str:
    """Returns the text of README.md."""
    parts = (
        _front_matter(subject),
        f"# {_title(subject)}",
        _origin(subject) if subject.copy_of is None else _copy(subject, subject.copy_of),
        _unverified(subject),
        _parents(subject.experiment),
        _results(subject),
        _examination(subject),
        _search_scores(subject),
        f"## Recipe\n\nReadable by mergekit and by `evomerge merge`:\n\n{_fenced(subject.recipe, 'yaml')}",
        _usage(subject),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(subject: Subject) -> str:
    experiment, copied = subject.experiment, subject.copy_of
    references = [*experiment.parents, *([experiment.base] if experiment.base else [])]
    if copied is not None:
        references = [str(copied)]
    parents = list(dict.fromkeys(name for name in map(_hub_name, references) if name))
    content: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    if parents:  # local folders have no page on the Hub that a link could lead to
        content["base_model"] = parents
        if copied is None:  # the Hub has no word for a copy
            content["base_model_relation"] = "merge"
    content["tags"] = ["merge", "mergekit", "evomerge"] if copied is None else ["evomerge"]
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _hub_name(reference: str) -> str | None:
    name = Parent.model_validate(reference).model
    return name if "/" in name and _HUB_NAME.fullmatch(name) else None


def _title(subject: Subject) -> str:
    title = f"{escape(subject.experiment.name)}, candidate {subject.candidate.number}"
    return title if subject.copy_of is None else f"{title}: a copy of {escape(label_of(subject.copy_of))}"


def _copy(subject: Subject, parent: Parent) -> str:
    """Says of a bare parent that it is one."""
    experiment, candidate = subject.experiment, subject.candidate
    won = experiment.winner is not None and experiment.winner.number == candidate.number
    standing = (
        f"In the experiment “{escape(experiment.name)}” of evomerge {escape(subject.version)} no merge beat "
        f"this parent on the selection split, of {experiment.progress.settled} candidates tried."
        if won
        else f"It took part in the experiment “{escape(experiment.name)}” of evomerge "
        f"{escape(subject.version)} as candidate {candidate.number}, for comparison."
    )
    return f"A copy of {_link(str(parent))}, not a merge: its weights are that model's. {standing}"


def _unverified(subject: Subject) -> str:
    if subject.verified:
        return ""
    return "This checkpoint was written without being loaded once: its export was told not to verify it."


def _origin(subject: Subject) -> str:
    experiment, candidate = subject.experiment, subject.candidate
    method = subject.recipe.partition("merge_method:")[2].split("\n", 1)[0].strip().removeprefix("evomerge:")
    tried = experiment.progress.settled
    proposer = escape(experiment.algorithm)
    if candidate.kind is CandidateKind.MEAN:
        how = f"candidate {candidate.number}, the mean of what {proposer} would propose next"
    elif candidate.label is not None:
        how = f"baseline “{escape(candidate.label)}”"
    else:
        how = f"candidate {candidate.number}, proposed by {proposer}"
    standing = ""
    if experiment.winner is not None and experiment.winner.number == candidate.number:
        standing = " It won on the selection split, which the search did not see."
    return (
        f"A merge of {len(experiment.parents)} models by `{method}`, found by "
        f"evomerge {escape(subject.version)} in the experiment "
        f"“{escape(experiment.name)}”: {how}, of {tried} tried; seed {experiment.spec.get('seed', 0)}."
        f"{standing} No weights were trained."
    )


def _parents(experiment: ExperimentDetail) -> str:
    lines = [f"- {_link(reference)}" for reference in experiment.parents]
    if experiment.base is not None:
        lines.append(f"- {_link(experiment.base)} (base)")
    return "## Parents\n\n" + "\n".join(lines)


def _link(reference: str) -> str:
    parent, name = Parent.model_validate(reference), _hub_name(reference)
    if name is None:
        return escape(label_of(parent))
    revision = f" at `{parent.revision}`" if parent.revision and parent.revision.isalnum() else ""
    return f"[{escape(name)}](https://huggingface.co/{name}){revision}"


def _results(subject: Subject) -> str:
    scores = subject.candidate.scores.get("test")
    if not scores:
        return (
            "## Results\n\nThis model was not examined on held-out items: what is known of it are the "
            "scores below, which are optimistic."
        )
    items = ", ".join(f"{escape(score.benchmark)}: {score.items} items" for score in scores)
    return (
        f"## Results\n\nOn the test split, which neither the search nor the choice of the winner saw "
        f"({items}); ± is one standard error.\n\n{_table(subject, ('test',))}{_optimism(subject)}"
    )


def _optimism(subject: Subject) -> str:
    """Says how much worse the model does where the search could not look."""
    search = {score.benchmark: score for score in subject.candidate.scores.get("search", ())}
    parts = []
    for score in subject.candidate.scores.get("test", ()):
        if score.benchmark in search:
            gap = search[score.benchmark].value - score.value
            parts.append(f"{escape(score.benchmark)} {gap:+.3f}")
    return f"\n\nOptimism of the search (search score less test score): {'; '.join(parts)}." if parts else ""


def _examination(subject: Subject) -> str:
    """Says what the examination found out, of the winner; of others, what warns of their scores."""
    experiment, winner = subject.experiment, subject.experiment.winner
    standing = [warning for objective in experiment.objectives for warning in objective.warnings]
    found = winner.examination if winner and winner.number == subject.candidate.number else None
    lines = [f"- {escape(sentence)}" for sentence in sentences(found)] if found else []
    warnings = list(dict.fromkeys((*standing, *(found.warnings if found else ()))))
    parts = ["\n".join(lines)] if lines else []
    if warnings:
        parts.append("Mind:\n\n" + "\n".join(f"- {escape(warning)}" for warning in warnings))
    return "\n\n".join(("## Examination", *parts)) if parts else ""


def _search_scores(subject: Subject) -> str:
    splits: list[Split] = ["search", "selection"]
    seen = [split for split in splits if subject.candidate.scores.get(split)]
    if not seen:
        return ""
    return (
        "## Scores during the search\n\nThe search climbed the first and the winner was picked by the "
        "second, so both are optimistic: no results.\n\n" + _table(subject, seen)
    )


def _table(subject: Subject, splits: Sequence[Split]) -> str:
    objectives = [objective.name for objective in subject.experiment.objectives]
    heads = [f"{escape(name)}, {_SPLIT_TITLES[split]}" for split in splits for name in objectives]
    candidate = subject.candidate
    rows = [(f"**this model (candidate {candidate.number})**", _cells(candidate.scores, splits, objectives))]
    for point in _compared(subject):
        cells = _cells(point.scores, splits, objectives)
        if any(cells):
            rows.append((escape(point.label or f"candidate {point.number}"), cells))
    lines = ["| model | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cell or "–" for cell in cells) + " |" for name, cells in rows]
    return "\n".join(lines)


def _compared(subject: Subject) -> Iterable[FrontPoint]:
    others = [p for p in subject.baselines if p.number != subject.candidate.number]
    return others[:MOST_BASELINES]


def _cells(
    scores: dict[Split, list[ScoreView]], splits: Sequence[Split], objectives: Sequence[str]
) -> list[str]:
    cells = []
    for split in splits:
        found = {score.benchmark: score for score in scores.get(split, ())}
        cells += [_with_error(found[name]) if name in found else "" for name in objectives]
    return cells


def _with_error(score: ScoreView) -> str:
    return f"{score.value:.3f} ± {score.stderr:.3f}" if score.stderr else f"{score.value:.3f}"


def _usage(subject: Subject) -> str:
    address = subject.address.replace("\\", "\\\\").replace('"', '\\"')
    code = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{address}")\n'
        f'model = AutoModelForCausalLM.from_pretrained("{address}")\n'
    )
    return f"## Usage\n\n{_fenced(code, 'python')}"


def _fenced(text: str, language: str) -> str:
    """Fences a text with more backticks than it holds in a row itself."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def escape(text: str) -> str:
    """Returns text that markdown shows as it is: names are other people's."""
    plain = _SPECIAL.sub(r"\\\g<0>", _CONTROL.sub(" ", text).strip())
    return _NUMBERED.sub(r"\1\\\2", plain)
