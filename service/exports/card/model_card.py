"""The README.md of an exported checkpoint: where it comes from, and what may be believed of it.

Only scores on the test split are called results: the search saw one of the others, and the winner
was picked on the other.
"""

from __future__ import annotations

from service.exports.card.closing import family, history, licence, limitations, verification
from service.exports.card.conversation import asking
from service.exports.card.markdown import fenced
from service.exports.card.metadata import metadata
from service.exports.card.origin import parents, search, summary, title
from service.exports.card.scores import examination, results, search_scores
from service.exports.card.subject import Subject
from service.exports.card.usage import usage


def model_card(subject: Subject) -> str:
    """Returns the text of README.md."""
    parts = (
        metadata(subject),
        f"# {title(subject)}",
        summary(subject),
        _picture(subject),
        parents(subject),
        results(subject),
        asking(subject),
        examination(subject),
        search_scores(subject),
        search(subject),
        f"## Recipe\n\nReadable by mergekit and by `evomerge merge`:\n\n{fenced(subject.recipe, 'yaml')}",
        usage(subject),
        verification(subject),
        licence(subject),
        limitations(subject),
        family(subject),
        history(subject),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _picture(subject: Subject) -> str:
    if subject.picture is None:
        return ""
    return f"![All candidates of the search, and this one among them]({subject.picture})"
