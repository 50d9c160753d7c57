"""Verdicts: under which licence a merged model stands, and what keeps it from being published.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from workers.compatibility.licences.table import LICENCES, Licence

OTHER = "other"
_STRICTEST_FIRST = ("apache-2.0", "cc-by-4.0", "bsd-3-clause", "mit")
ProblemKind = Literal["unknown", "non_commercial", "no_derivatives", "conflict", "gated", "naming"]


@dataclass(frozen=True, slots=True)
class ParentTerms:
    """What a parent's card says of its terms, and what else a card takes over.

    Attributes:
        parent: As it is shown.
        licence: The identifier, `license_name` where `license` is `other`; None where none is given.
        link: To the licence's text, as the card gives it.
        gated: Its owner lets people in one by one; None where the Hub was not asked, or did not say.
    """

    parent: str
    licence: str | None
    link: str | None = None
    gated: bool | None = None
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LicenceProblem:
    """Why a model should not be published without thought; `detail` begins with the parent's name."""

    kind: ProblemKind
    detail: str


@dataclass(frozen=True, slots=True)
class LicenceVerdict:
    """What follows from all parents' terms.

    Attributes:
        licence: The merged model's identifier; `other` where no single one follows.
        name: Of the licences that `other` stands for.
        link: To the text of the one that binds.
        duties: What must be done, in sentences.
        problems: What blocks publishing until the user accepts it.
    """

    licence: str
    name: str | None
    link: str | None
    duties: tuple[str, ...]
    problems: tuple[LicenceProblem, ...]
    prefix: str | None = None

    def naming_problem(self, name: str) -> LicenceProblem | None:
        """Returns what is wrong with a model's name (without its organization), None where nothing is."""
        if self.prefix is None or name.lower().startswith(self.prefix.lower()):
            return None
        detail = f"the name {name} does not begin with {self.prefix}, as the licence {self.licence} wants"
        return LicenceProblem("naming", detail)


def judge(terms: Sequence[ParentTerms]) -> LicenceVerdict:
    """Returns what the terms of all parents, and of the base, come to together."""
    named = dict.fromkeys(each.licence for each in terms if each.licence is not None)
    known = {name: LICENCES[name] for name in named if name in LICENCES}
    licence, name = _common(terms, list(known.values()))
    binding = [each for each in terms if each.licence is not None and each.licence in (licence, name)]
    prefixes = [each.prefix for each in known.values() if each.prefix is not None]
    return LicenceVerdict(
        licence=licence,
        name=name,
        link=next((each.link for each in binding if each.link), None),
        duties=tuple(f"{each.id}: {each.duty}" for each in known.values() if each.duty),
        problems=tuple(_problems(terms)),
        prefix=prefixes[0] if prefixes else None,
    )


def _common(terms: Sequence[ParentTerms], known: Sequence[Licence]) -> tuple[str, str | None]:
    """Returns the identifier, and the name of what `other` stands for."""
    named = tuple(dict.fromkeys(each.licence or "unknown" for each in terms))
    if len(named) == 1:
        only = named[0]
        return (only, None) if only in LICENCES and only not in _ONLY_NAMES else (OTHER, only)
    binding = [each.id for each in known if each.binds]
    if len(known) < len(named) or len(binding) > 1:
        return OTHER, "-and-".join(named)
    if binding:
        return (binding[0], None) if binding[0] not in _ONLY_NAMES else (OTHER, binding[0])
    return next((each for each in _STRICTEST_FIRST if each in named), named[0]), None


# Licences that cards name by `license: other` and `license_name`.
_ONLY_NAMES = frozenset(
    (
        *("qwen", "qwen-research", "tongyi-qianwen", "yi-license", "deepseek", "mrl", "mnpl", "exaone"),
        *("nvidia-open-model-license", "health-ai-developer-foundations", "falcon-llm-license"),
        *("mistral-ai-research-licence", "stabilityai-ai-community", "stabilityai-nc-research-community"),
        *("deepseek-license",),
    )
)


def _problems(terms: Sequence[ParentTerms]) -> Iterator[LicenceProblem]:
    binding: dict[str, str] = {}
    for each in terms:
        found = LICENCES.get(each.licence or "")
        if found is None:
            said = "names no licence" if each.licence is None else f"has the unknown licence {each.licence}"
            yield LicenceProblem("unknown", f"{each.parent} {said}")
        elif not found.derivatives:
            yield LicenceProblem(
                "no_derivatives", f"{each.parent} may not be given away changed ({found.id})"
            )
        elif not found.commercial:
            yield LicenceProblem(
                "non_commercial", f"{each.parent} is for non-commercial use alone ({found.id})"
            )
        if each.gated:
            yield LicenceProblem("gated", f"{each.parent} is gated: its owner lets people in one by one")
        if found is not None and found.binds:
            binding.setdefault(found.id, each.parent)
    if len(binding) > 1:
        sides = " and ".join(f"{licence} ({parent})" for licence, parent in binding.items())
        yield LicenceProblem("conflict", f"{sides} each want the merged model under themselves")
