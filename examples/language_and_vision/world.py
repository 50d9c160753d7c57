"""The little world that is asked about: things with a colour, a shape and a place, and two languages.

A question is `say colour =` in English and `mo kolo =` in Z, an invented language.  It follows a picture, or
a description in words: `red disc north say colour =`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

KINDS: Mapping[str, tuple[str, ...]] = {
    "colour": ("red", "green", "blue", "yellow", "purple", "white"),
    "shape": ("disc", "square", "cross", "bar"),
    "place": ("north", "east", "south", "west"),
}
KNOWN = 2  # values of each kind that the base knows in both languages
SAY, MO, EQUALS, END, IMAGE, PAD = "say", "mo", "=", "<end>", "<image>", "<pad>"
IMAGE_TOKENS = 4

Z: Mapping[str, str] = {
    "colour": "kolo",
    "shape": "furu",
    "place": "doko",
    "red": "rano",
    "green": "midu",
    "blue": "azul",
    "yellow": "kiro",
    "purple": "viol",
    "white": "biel",
    "disc": "rond",
    "square": "kuad",
    "cross": "krus",
    "bar": "stok",
    "north": "supe",
    "east": "dext",
    "south": "infe",
    "west": "sine",
}
WORDS = (PAD, END, SAY, MO, EQUALS, *Z.keys(), *Z.values(), IMAGE)


@dataclass(frozen=True, slots=True)
class Thing:
    """What a picture shows, one value of each kind."""

    colour: str
    shape: str
    place: str

    def value(self, kind: str) -> str:
        """Returns its colour, shape or place."""
        return str(getattr(self, kind))

    @property
    def words(self) -> tuple[str, ...]:
        """A description in English."""
        return self.colour, self.shape, self.place


@dataclass(frozen=True, slots=True)
class Question:
    """Words to be continued, about a thing that they describe or that a picture shows."""

    thing: Thing
    words: tuple[str, ...]
    answer: str
    shown: bool = False


def things() -> list[Thing]:
    """Returns all there are."""
    return [Thing(*values) for values in product(*KINDS.values())]


def asked(kind: str, *, in_z: bool) -> tuple[str, ...]:
    """Returns the words of a question."""
    return (MO, Z[kind], EQUALS) if in_z else (SAY, kind, EQUALS)


def about_words(
    *, in_z: bool, described_in: Sequence[str] = ("english",), known: bool = False
) -> list[Question]:
    """Returns questions about descriptions.

    Args:
        in_z: Asked and answered in Z.
        described_in: Languages of the descriptions, which may be mixed.
        known: Only those whose answer the base knows in both languages.
    """
    found = []
    for thing, kind in product(things(), KINDS):
        value = thing.value(kind)
        if known and value not in KINDS[kind][:KNOWN]:
            continue
        for languages in product(described_in, repeat=len(thing.words)):
            spoken = zip(thing.words, languages, strict=True)
            words = tuple(Z[word] if language == "z" else word for word, language in spoken)
            answer = Z[value] if in_z else value
            found.append(Question(thing, (*words, *asked(kind, in_z=in_z)), answer))
    return found


def about_pictures(*, in_z: bool) -> list[Question]:
    """Returns questions about pictures."""
    return [
        Question(
            thing,
            ((IMAGE,) * IMAGE_TOKENS) + asked(kind, in_z=in_z),
            Z[thing.value(kind)] if in_z else thing.value(kind),
            shown=True,
        )
        for thing, kind in product(things(), KINDS)
    ]
