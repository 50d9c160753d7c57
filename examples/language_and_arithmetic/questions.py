"""The little world that is asked about: a clock with twelve hours, two languages, questions of one word.

A question is `say three plus four =` in English and `mo tavi pel kesh =` in Z, an invented language.
The first word alone says in which language to answer, so what is reckoned at the `=` need not depend
on the language.  Words of both languages may be mixed after it, as bilingual speakers do; such mixed
questions are what aligns the two languages inside a small network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

HOURS = 12
SMALL = 5  # the base knows the numbers below this one in both languages
SYNONYMS = 2  # every operator has two words
EQUALS = "="

RECKONING = ("plus", "minus")
COMPARING = ("larger", "smaller", "first", "second")
NAMING = ("after", "before", "same")  # asked about one number only


@dataclass(frozen=True, slots=True)
class Language:
    """The words of a language.

    Attributes:
        say: Opens a question and asks for an answer in this language.
        numbers: From zero up.
        operators: Per operator its synonyms.
    """

    say: str
    numbers: tuple[str, ...]
    operators: dict[str, tuple[str, str]]

    def words(self) -> list[str]:
        """Returns every word once, in a fixed order."""
        return [self.say, *self.numbers, *(word for pair in self.operators.values() for word in pair)]


ENGLISH = Language(
    "say",
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    {
        "plus": ("plus", "and"),
        "minus": ("minus", "less"),
        "larger": ("larger", "greater"),
        "smaller": ("smaller", "lesser"),
        "first": ("first", "former"),
        "second": ("second", "latter"),
        "after": ("after", "next"),
        "before": ("before", "previous"),
        "same": ("same", "equal"),
    },
)
Z = Language(
    "mo",
    ("nolu", "ika", "duma", "tavi", "kesh", "pelu", "soro", "vink", "ottu", "mazi", "deko", "yarr"),
    {
        "plus": ("pel", "umi"),
        "minus": ("zat", "rok"),
        "larger": ("gran", "bolo"),
        "smaller": ("pik", "lilu"),
        "first": ("unta", "fero"),
        "second": ("dosk", "latu"),
        "after": ("niva", "poso"),
        "before": ("anka", "prev"),
        "same": ("simu", "egal"),
    },
)
BOTH = (ENGLISH, Z)


@dataclass(frozen=True, slots=True)
class Fact:
    """An operator with its one or two numbers, in no language."""

    operator: str
    numbers: tuple[int, ...]

    @property
    def answer(self) -> int:
        """What a twelve-hour clock says."""
        left, right = self.numbers[0], self.numbers[-1]
        match self.operator:
            case "plus":
                return (left + right) % HOURS
            case "minus":
                return (left - right) % HOURS
            case "larger":
                return max(left, right)
            case "smaller":
                return min(left, right)
            case "after":
                return (left + 1) % HOURS
            case "before":
                return (left - 1) % HOURS
            case "second":
                return right
            case _:  # first, same
                return left

    @property
    def is_small(self) -> bool:
        """Whether the base may meet this fact in Z: reckoning by its numbers, the rest by its answer too."""
        known = max(self.numbers) < SMALL
        return known and (self.operator in RECKONING or self.answer < SMALL)


@dataclass(frozen=True, slots=True)
class Question:
    """A fact put into words, and the word that answers it."""

    text: str
    answer: str


def facts(operators: Sequence[str], *, small: bool = False) -> list[Fact]:
    """Returns all facts of these operators, or only the small ones."""
    numbers = range(HOURS)
    every = [
        Fact(operator, pair)
        for operator in operators
        for pair in (product(numbers) if operator in NAMING else product(numbers, numbers))
    ]
    return [fact for fact in every if fact.is_small or not small]


def ask(fact: Fact, synonym: int, language: Language) -> Question:
    """Puts a fact into one language."""
    return _ask(fact, synonym, language, (language,) * (1 + len(fact.numbers)))


def ask_mixed(fact: Fact, synonym: int, language: Language, *, large_in_z: bool = True) -> list[Question]:
    """Puts a fact into every mixture of the two languages, to be answered in `language`.

    Args:
        fact: What is asked.
        synonym: Which word of the operator.
        language: The language of the answer.
        large_in_z: Whether Z may word numbers that are not small.
    """
    mixtures = product(BOTH, repeat=1 + len(fact.numbers))
    return [
        _ask(fact, synonym, language, spoken)
        for spoken in mixtures
        if large_in_z
        or not any(number >= SMALL and spoken[1 + i] is Z for i, number in enumerate(fact.numbers))
    ]


def _ask(fact: Fact, synonym: int, language: Language, spoken: Sequence[Language]) -> Question:
    """Words a fact; `spoken` names the languages of the operator and of each number."""
    operator = spoken[0].operators[fact.operator][synonym]
    numbers = [of.numbers[number] for of, number in zip(spoken[1:], fact.numbers, strict=True)]
    between = [numbers[0], operator, numbers[1]] if len(numbers) == 2 else [operator, numbers[0]]
    return Question(" ".join([language.say, *between, EQUALS]), language.numbers[fact.answer])
