"""Licences by the Hub's identifiers, with those of their terms that bind a merged model.  No legal advice.

What is not in the table is unknown, and says so: nothing is guessed from a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["permissive", "copyleft", "community"]
LLAMA_PREFIX = "Llama"


@dataclass(frozen=True, slots=True)
class Licence:
    """What a licence asks of a model made from weights under it.

    Attributes:
        kind: `permissive` lets it have another licence; `copyleft` wants it under the same one; `community`
            too, with restrictions of use that are passed on.
        commercial: It may be used commercially.
        derivatives: Changed copies may be given away.
        prefix: What the model's name must begin with; None where the name is free.
        duty: What else must be done, in a sentence; empty without.
    """

    id: str
    kind: Kind
    commercial: bool = True
    derivatives: bool = True
    prefix: str | None = None
    duty: str = ""

    @property
    def binds(self) -> bool:
        """Says whether the merged model must have this licence too."""
        return self.kind != "permissive" or not self.commercial


_NOTICES = "keep copyright notices and the licence's text"
_PERMISSIVE = (
    *(
        "apache-2.0",
        "mit",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "isc",
        "zlib",
        "ncsa",
    ),
    *("afl-3.0", "artistic-2.0", "bsl-1.0", "ms-pl", "postgresql", "ecl-2.0", "cdla-permissive-1.0"),
    *("cdla-permissive-2.0", "odc-by", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc"),
)
_FREE = ("cc0-1.0", "unlicense", "wtfpl", "pddl")
_COPYLEFT = (
    *("gpl", "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "mpl-2.0"),
    *("epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "osl-3.0", "odbl", "gfdl", "ofl-1.1"),
    *("cc-by-sa-3.0", "cc-by-sa-4.0", "cdla-sharing-1.0"),
)
_USE_RESTRICTED = (
    *("openrail", "openrail++", "creativeml-openrail-m", "bigscience-openrail-m", "bigcode-openrail-m"),
    *("bigscience-bloom-rail-1.0", "gemma", "falcon-llm-license", "deepseek", "deepseek-license", "qwen"),
    *("tongyi-qianwen", "yi-license", "nvidia-open-model-license", "health-ai-developer-foundations"),
)
_RESEARCH = (
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0"),
    *("cc-by-nc-sa-4.0", "fair-noncommercial-research-license", "intel-research", "apple-amlr", "apple-ascl"),
    *(
        "qwen-research",
        "mrl",
        "mnpl",
        "mistral-ai-research-licence",
        "exaone",
        "c-uda",
        "deepfloyd-if-license",
    ),
    *("stabilityai-ai-community", "stabilityai-nc-research-community"),
)
_UNCHANGED = (
    *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
)  # fmt: skip
_LLAMA = ("llama3", "llama3.1", "llama3.2", "llama3.3", "llama4")
_RESTRICTIONS = "pass the licence's restrictions of use on, with its text"
_BUILT = (
    "show “Built with Llama”, keep Meta's attribution notice and the licence's text, and begin the model's "
    "name with “Llama”"
)


def _rows() -> Iterator[Licence]:
    for name in _PERMISSIVE:
        yield Licence(name, "permissive", duty=_NOTICES)
    for name in _FREE:
        yield Licence(name, "permissive")
    for name in _COPYLEFT:
        yield Licence(name, "copyleft", duty="give it away under the same licence")
    for name in _USE_RESTRICTED:
        yield Licence(name, "community", duty=_RESTRICTIONS)
    for name in _RESEARCH:
        yield Licence(name, "community", commercial=False, duty="use it for nothing commercial")
    for name in _UNCHANGED:
        commercial = "-nc-" not in name
        yield Licence(name, "community", commercial=commercial, derivatives=False)
    yield Licence("llama2", "community", duty="keep Meta's attribution notice and the licence's text")
    for name in _LLAMA:
        yield Licence(name, "community", prefix=LLAMA_PREFIX, duty=_BUILT)


LICENCES: Mapping[str, Licence] = {licence.id: licence for licence in _rows()}
"""The known licences, by the identifiers that model cards use (`license`, or `license_name` of `other`)."""
