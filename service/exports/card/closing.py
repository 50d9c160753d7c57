"""What a card says at its end: licence, limitations, history."""

from __future__ import annotations

from service.exports.card.markdown import escape
from service.exports.card.subject import Subject
from workers.protocol.card_marks import VERIFIED


def verification(subject: Subject) -> str:
    """Says what was checked of the files."""
    if subject.verified:
        return f"## Verification\n\n{VERIFIED}"
    return (
        "## Verification\n\nThis checkpoint was written without being loaded once, and not scored again: "
        "its export was told not to verify it (`--no-verify`)."
    )


def licence(subject: Subject) -> str:
    """Returns under which terms the model stands, as far as the parents' cards say so."""
    verdict = subject.licence
    if verdict is None:
        return ""
    named = f"{verdict.licence} ({verdict.name})" if verdict.name else verdict.licence
    together = f"The parents' licences come to **{escape(named)}** together."
    parts = [f"## Licence\n\n{together} This follows from what their cards say and is no legal advice."]
    if verdict.duties:
        parts.append("\n".join(f"- {escape(duty)}" for duty in verdict.duties))
    if verdict.prefix is not None:
        parts.append(f"Built with {verdict.prefix}.")
    if verdict.problems:
        stands = "was published all the same, at its author's word" if subject.accepted else "is not cleared"
        listed = "\n".join(f"- {escape(problem.detail)}" for problem in verdict.problems)
        parts.append(f"What stands in the way of using it freely, and {stands}:\n\n{listed}")
    return "\n\n".join(parts)


def limitations(subject: Subject) -> str:
    """Says what the scores do not."""
    objectives = ", ".join(escape(objective.name) for objective in subject.experiment.objectives)
    lines = [
        f"- It was chosen for {objectives} alone; what else its parents can do may be better or worse in it.",
        "- It has its parents' biases and gaps in knowledge, and was not examined for safety.",
    ]
    scores = subject.candidate.scores.get("test")
    if scores:
        fewest = min(score.items for score in scores)
        lines.append(
            f"- Its scores rest on {fewest} held-out items and more; differences within ± are noise."
        )
    else:
        lines.append("- It has no held-out scores.")
    return "## Limitations\n\n" + "\n".join(lines)


def family(subject: Subject) -> str:
    """Returns links to the other members of the front that were exported with this one."""
    if not subject.siblings:
        return ""
    lines = [
        f"- [candidate {each.number}](https://huggingface.co/{each.address}): {escape(each.scores)}"
        if not each.address.startswith("..")
        else f"- candidate {each.number}, `{each.address}`: {escape(each.scores)}"
        for each in subject.siblings
    ]
    where = f", all of them in [one collection]({subject.collection})" if subject.collection else ""
    return f"## The rest of the front\n\nOther trade-offs of the same search{where}:\n\n" + "\n".join(lines)


def history(subject: Subject) -> str:
    """Returns the repository's versions, newest first."""
    if not subject.releases:
        return ""
    parts = []
    for release in subject.releases:
        of = (
            f"candidate {release.candidate} of “{escape(release.experiment)}”, recipe `{release.digest[:16]}`"
        )
        changes = "".join(f"\n  - {escape(change)}" for change in release.changes)
        parts.append(f"- **{release.version}** ({release.exported}): {of}{changes}")
    return "## Versions\n\n" + "\n".join(parts)
