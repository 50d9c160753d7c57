"""Topics: bags of words to be told apart; experts were shown half of the topics only."""

from __future__ import annotations

import random

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task, dealt

_WORDS = tuple(f"w{number}" for number in range(60))
_LABELS = tuple(f"c{number}" for number in range(10))
_LENGTH, _OWN = 8, 8  # words of a text; words that a topic prefers
_PREFERENCE = 6.0  # times as likely as other words
SIZES = {"search": 192, "selection": 128, "test": 320}


def topics_family(*, related: bool = True) -> Family:
    """Returns a base that tells ten topics apart, and experts that saw five each and forgot the rest.

    No parent is better than the base over all topics: the best merge lies near it, and an average of the
    experts is worse.

    Args:
        related: Whether there is a base; without one each expert starts from weights of its own, and
            nothing between the two is worth anything.
    """
    draw = random.Random(7)  # noqa: S311 - no secret
    likings = {label: draw.sample(_WORDS, _OWN) for label in _LABELS}
    texts = {label: [_text(likings[label], label, draw) for _ in range(260)] for label in _LABELS}
    halves = (_LABELS[:5], _LABELS[5:])
    shown = {label: tuple(of[:180]) for label, of in texts.items()}
    asked = [question for of in texts.values() for question in of[180:]]
    return Family(
        words=(*_WORDS, *_LABELS, "="),
        layers=4,
        hidden=48,
        base=Lesson(tuple((1.0, of) for of in shown.values()), steps=180, rate=2e-3) if related else None,
        experts={
            f"half_{n}": Lesson(
                tuple((1.0, shown[label]) for label in half), steps=120 if related else 300, rate=2e-3
            )
            for n, half in enumerate(halves)
        },
        tasks={"topics": Task(dealt(draw.sample(asked, len(asked)), SIZES), _LABELS)},
    )


def _text(liked: list[str], label: str, draw: random.Random) -> Question:
    weights = [_PREFERENCE if word in liked else 1.0 for word in _WORDS]
    return Question(" ".join([*draw.choices(_WORDS, weights, k=_LENGTH), "="]), label)
