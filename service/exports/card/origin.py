"""Where a model comes from: a summary, its parents, and how it was searched for."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces import Parent
from service.experiment.candidate import CandidateKind
from service.experiment.spec import label_of
from service.exports.card.markdown import escape, link
from service.exports.card.scores import with_error
from service.exports.card.subject import Subject


def title(subject: Subject) -> str:
    """Returns the card's first heading."""
    text = f"{escape(subject.experiment.name)}, candidate {subject.candidate.number}"
    return text if subject.copy_of is None else f"{text}: a copy of {escape(label_of(subject.copy_of))}"


def summary(subject: Subject) -> str:
    """Returns what the model is, in one paragraph."""
    return _merge(subject) if subject.copy_of is None else _copy(subject, subject.copy_of)


def _merge(subject: Subject) -> str:
    experiment, candidate = subject.experiment, subject.candidate
    proposer = escape(experiment.algorithm)
    if candidate.kind is CandidateKind.MEAN:
        how = f"candidate {candidate.number}, the mean of what {proposer} would propose next"
    elif candidate.label is not None:
        how = f"baseline “{escape(candidate.label)}”"
    else:
        how = f"candidate {candidate.number}, proposed by {proposer}"
    outcome = ""
    if subject.won:
        outcome = " It won on search and selection items together, and the search did not see the latter."
    method = subject.method or _method_in(subject.recipe)
    return (
        f"A merge of {len(experiment.parents)} models by `{method}`, found by "
        f"evomerge {escape(subject.version)} in the experiment "
        f"“{escape(experiment.name)}”: {how}, of {experiment.progress.settled} tried; "
        f"seed {experiment.spec.get('seed', 0)}.{outcome}{_reached(subject)} No weights were trained."
    )


def _method_in(recipe: str) -> str:
    return recipe.partition("merge_method:")[2].split("\n", 1)[0].strip().removeprefix("evomerge:")


def _reached(subject: Subject) -> str:
    scores = subject.candidate.scores.get("test", ())
    told = ", ".join(f"{escape(score.benchmark)} {with_error(score)}" for score in scores)
    return f" On held-out items it reaches {told}." if told else ""


def _copy(subject: Subject, parent: Parent) -> str:
    """Says of a bare parent that it is one."""
    experiment, candidate = subject.experiment, subject.candidate
    outcome = (
        f"In the experiment “{escape(experiment.name)}” of evomerge {escape(subject.version)} no merge beat "
        f"this parent clearly on search and selection items, "
        f"of {experiment.progress.settled} candidates tried."
        if subject.won
        else f"It took part in the experiment “{escape(experiment.name)}” of evomerge "
        f"{escape(subject.version)} as candidate {candidate.number}, for comparison."
    )
    return f"A copy of {link(str(parent))}, not a merge: its weights are that model's. {outcome}"


def parents(subject: Subject) -> str:
    """Returns the parents and the base, with revisions, licences and shares where they are known."""
    experiment = subject.experiment
    lines = [f"- {link(reference)}{_facts(subject, reference)}" for reference in experiment.parents]
    if experiment.base is not None:
        lines.append(f"- {link(experiment.base)} (base){_facts(subject, experiment.base)}")
    told = "## Parents\n\n" + "\n".join(lines)
    if subject.shares:
        told += (
            "\n\nA share is what the recipe takes from a parent, on average over layers and their parts; "
            "methods that add changes to a base need not come to 100 %."
        )
    return told


def _facts(subject: Subject, reference: str) -> str:
    parent = Parent.model_validate(reference)
    name = label_of(parent)
    terms = next((each for each in subject.terms if each.parent in (parent.model, name)), None)
    facts = [f"share {subject.shares[reference]:.0%}"] if reference in subject.shares else []
    facts += [f"licence {escape(terms.licence or 'not given')}"] if terms is not None else []
    return f", {', '.join(facts)}" if facts else ""


def search(subject: Subject) -> str:
    """Says how the model was searched for."""
    lines = "\n".join(f"- {what}: {text}" for what, text in _search(subject))
    lock = (
        "The hashes of the parents' files and of every tensor, and the versions of what computed, are in "
        "`evomerge.lock.json`: `evomerge reproduce` merges again and compares."
    )
    return f"## How it was found\n\n{lines}\n\n{lock}"


def _search(subject: Subject) -> Iterator[tuple[str, str]]:
    spec, experiment = subject.experiment.spec, subject.experiment
    space = spec.get("space") or {}
    shown = ", ".join(f"{name} {value}" for name, value in space.items() if _is_plain(value))
    yield "space", escape(shown or "parameter")
    reason = f" ({escape(experiment.algorithm_reason)})" if experiment.algorithm_reason else ""
    yield "algorithm", f"{escape(experiment.algorithm)}{reason}"
    budget = [f"{value} {name}" for name, value in (spec.get("budget") or {}).items() if value]
    yield "budget", escape(", ".join((*budget, f"{experiment.progress.settled} candidates settled")))
    yield "seed", str(spec.get("seed", 0))
    objectives = [
        f"{each.name} ({each.task}, {each.metric}, weight {each.weight:g})" for each in experiment.objectives
    ]
    yield "objectives", escape("; ".join(objectives))
    if subject.item_sets:
        hashes = (f"{escape(name)} `{digest[:16]}`" for name, digest in subject.item_sets.items())
        yield "hashes of the tasks (items, prompts, marking)", ", ".join(hashes)
    yield "recipe", f"digest `{subject.candidate.digest}`"
    yield "evomerge", escape(subject.version)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) or (
        isinstance(value, list) and len(value) <= 8 and all(isinstance(item, str | int) for item in value)
    )
