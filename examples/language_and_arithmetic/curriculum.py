"""What is asked in the evaluation, and what each model is shown in training: never the same question.

Reckoning in Z with numbers that are not small is shown to no model at all, in no wording: it is what
the merge has to put together.  The experts' own skills are evaluated on questions held out of their
training.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from examples.language_and_arithmetic.questions import (
    COMPARING,
    ENGLISH,
    NAMING,
    RECKONING,
    SMALL,
    SYNONYMS,
    Fact,
    Question,
    Z,
    ask,
    ask_mixed,
    facts,
)

SPLITS = ("search", "selection", "test")
_SHARES = (0.33, 0.25)  # search and selection; test has the rest, for small standard errors
_HELD_OUT = 0.25  # of the language expert's own questions
_LANGUAGE = COMPARING + NAMING

Splits = dict[str, list[Question]]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Part:
    """Questions drawn with the same probability, and how often this part is drawn from."""

    share: float
    questions: tuple[Question, ...]


Mixture = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Curriculum:
    """All questions of the problem.

    Attributes:
        tasks: Per task its three splits, disjoint.
        base: What the base is trained on: English without reckoning, and small numbers in both.
        arithmetic: What the arithmetic expert is trained on: reckoning in English.
        language: What the language expert is trained on: Z without reckoning.
    """

    tasks: dict[str, Splits]
    base: Mixture
    arithmetic: Mixture
    language: Mixture

    def digest(self, parent: str) -> str:
        """Returns a name for what a parent is trained on."""
        mixture: Mixture = getattr(self, parent)
        text = json.dumps([[part.share, [(q.text, q.answer) for q in part.questions]] for part in mixture])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_curriculum(seed: int) -> Curriculum:
    """Returns the questions of this seed, which decides what is held out."""
    tasks = _tasks(random.Random(seed))  # noqa: S311 - no secret
    held_out = {question.text for splits in tasks.values() for asked in splits.values() for question in asked}
    base = _base(held_out)
    in_english = _asked(facts(RECKONING), lambda fact, n: [ask(fact, n, ENGLISH)], held_out)
    to_z = _asked(facts(_LANGUAGE), lambda fact, n: ask_mixed(fact, n, Z), held_out)
    from_z = _asked(facts(_LANGUAGE), lambda fact, n: ask_mixed(fact, n, ENGLISH), held_out)
    return Curriculum(
        tasks=tasks,
        base=base,
        # Both experts see some of what the base saw: without it they forget the language or the
        # reckoning that the other expert's changes build on, and their sum can do neither.
        arithmetic=(*_scaled(base, 0.3), Part(0.7, in_english)),
        language=(*_scaled(base, 0.5), Part(0.4, to_z), Part(0.1, from_z)),
    )


def _tasks(rng: random.Random) -> dict[str, Splits]:
    reckoning = [fact for fact in facts(RECKONING) if not fact.is_small]
    comparing = [
        (fact, n) for fact in facts(COMPARING) if max(fact.numbers) >= SMALL for n in range(SYNONYMS)
    ]
    rng.shuffle(reckoning)
    rng.shuffle(comparing)
    # A fact is in the same split in both languages and all wordings, so no split tells about another.
    by_fact = _split(reckoning)
    by_wording = _split(comparing[: int(_HELD_OUT * len(comparing))])
    return {
        "arithmetic_z": {
            split: [ask(fact, n, Z) for fact in asked for n in range(SYNONYMS)]
            for split, asked in by_fact.items()
        },
        "arithmetic_english": {
            # One wording of two, so that the expert can learn the fact from the other.
            split: [ask(fact, rng.randrange(SYNONYMS), ENGLISH) for fact in asked]
            for split, asked in by_fact.items()
        },
        "language_z": {split: [ask(fact, n, Z) for fact, n in asked] for split, asked in by_wording.items()},
    }


def _split(items: list[Item]) -> dict[str, list[Item]]:
    first, second = (int(share * len(items)) for share in (_SHARES[0], sum(_SHARES)))
    return dict(zip(SPLITS, (items[:first], items[first:second], items[second:]), strict=True))


def _base(held_out: set[str]) -> Mixture:
    """Returns English without reckoning, and all there is about small numbers in both languages."""
    known = facts(_LANGUAGE, small=True)
    sums = facts(RECKONING, small=True)
    return (
        Part(0.125, _asked(facts(_LANGUAGE), lambda fact, n: [ask(fact, n, ENGLISH)], held_out)),
        Part(0.125, _asked(facts(_LANGUAGE), _mixed_for_the_base, held_out)),
        Part(0.25, _asked(sums, lambda fact, n: ask_mixed(fact, n, ENGLISH), held_out)),
        Part(0.25, _asked(known, lambda fact, n: ask_mixed(fact, n, Z), held_out)),
        Part(0.25, _asked(sums, lambda fact, n: ask_mixed(fact, n, Z), held_out)),
    )


def _mixed_for_the_base(fact: Fact, synonym: int) -> list[Question]:
    return ask_mixed(fact, synonym, ENGLISH, large_in_z=False)


def _asked(
    of: Sequence[Fact], word: Callable[[Fact, int], list[Question]], held_out: set[str]
) -> tuple[Question, ...]:
    """Puts facts into words, with every synonym, and leaves out what is evaluated."""
    asked = [question for fact in of for n in range(SYNONYMS) for question in word(fact, n)]
    return tuple(question for question in asked if question.text not in held_out)


def _scaled(mixture: Mixture, share: float) -> Mixture:
    return tuple(replace(part, share=part.share * share) for part in mixture)
