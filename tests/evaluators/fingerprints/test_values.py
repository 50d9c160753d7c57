"""Fingerprints are equal in two processes, differ wherever results could, or are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evaluators.fingerprints.code_references import UnrepeatableError
from evaluators.fingerprints.values import fingerprint_of, unrepeatable_mark

CODE = """
import re
from collections import namedtuple
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, partial

import numpy as np

WORDS = {"yes": 1.0, "no": 0.0}
ARTICLES = {"a", "an", "the"}
SPACES = re.compile(r"\\s+")
CACHE = object()

class Verdict(Enum):
    RIGHT = 1
    WRONG = 2

@dataclass
class Marker:
    limit: int = 3
    kept: list = field(default_factory=list)

    def __call__(self, text):
        return Verdict.RIGHT if len(text) < self.limit else Verdict.WRONG

Pair = namedtuple("Pair", "one other")

def clean(text):
    return SPACES.sub(" ", text).lower()

@lru_cache
def known(word):
    return WORDS.get(word, 0.5)

def scaled(factor):
    def scale(value):
        return value * factor
    return scale

double = scaled(2.0)

def mark(doc, results, *, penalty=0.25):
    kept = [word for word in clean(results[0]).split() if word not in {"um", "er", *ARTICLES}]
    import math
    return {"acc": double(sum(map(known, kept))) - penalty * math.sqrt(Marker()("x").value), "even": even(4)}

def even(n):
    return True if n == 0 else odd(n - 1)

def odd(n):
    return False if n == 0 else even(n - 1)
"""
CHANGES = {
    "the function": ("[0]).split()", "[-1]).split()"),
    "a constant": ('"um", "er"', '"um", "eh"'),
    "a default": ("penalty=0.25", "penalty=0.5"),
    "a helper": (".lower()", ".upper()"),
    "a helper's helper": ("n == 0 else even", "n == 1 else even"),
    "a table": ('"no": 0.0', '"no": 0.1'),
    "a set": ('"the"}', '"that"}'),
    "a pattern": (r'"\s+")', r'"[ ]+")'),
    "a pattern's flags": (r'"\s+")', r'"\s+", re.I)'),
    "a closure": ("scaled(2.0)", "scaled(3.0)"),
    "a class's default": ("limit: int = 3", "limit: int = 4"),
    "a class's method": ("len(text) <", "len(text) <="),
    "an enumeration": ("RIGHT = 1", "RIGHT = 3"),
    "an import": ("import math", "import cmath as math"),
}


def built(code: str) -> dict[str, Any]:
    module = sys.modules["somebodys"] = ModuleType("somebodys")
    exec(compile(code, "somewhere", "exec"), vars(module))
    return vars(module)


def test_nothing_changed_gives_the_same_wherever_the_file_lies() -> None:
    later = "# a comment\n\n" + CODE.replace("CACHE = object()", "UNUSED = 5")
    assert fingerprint_of(built(CODE)["mark"]) == fingerprint_of(built(later)["mark"])


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_a_function_reaches_changes_its_fingerprint(change: str) -> None:
    old, new = CHANGES[change]
    assert CODE.count(old) == 1
    assert fingerprint_of(built(CODE)["mark"]) != fingerprint_of(built(CODE.replace(old, new))["mark"])


def test_two_processes_agree(tmp_path: Path) -> None:
    (tmp_path / "somebodys.py").write_text(CODE)
    script = (
        "import somebodys, sys, lm_eval.api.metrics as metrics\n"
        "from evaluators.fingerprints.values import fingerprint_of\n"
        "print(fingerprint_of(somebodys.mark, metrics.mean.__call__, somebodys.Pair(1, {'b', 'a'})))"
    )
    found = set()
    for seed in ("1", "2"):
        place = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])
        environment = {**os.environ, "PYTHONPATH": place, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_a_helper_in_another_own_module_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for factor in (1, 2, 2):
        helpers = ModuleType("own_helpers")
        exec(f"import time\ndef grade(x):\n    return {factor} * x\n", vars(helpers))
        monkeypatch.setitem(sys.modules, "own_helpers", helpers)
        space = built(
            "import own_helpers\n"
            "def one(x):\n    return own_helpers.grade(x)\n"
            "def two(x):\n    from own_helpers import grade\n    return grade(x)\n"
        )
        found.append([fingerprint_of(space["one"]), fingerprint_of(space["two"])])
    assert found[0] != found[1] == found[2]
    assert not set(found[0]) & set(found[1])


VALUES: list[Any] = [
    None, True, 1, 1.0, "1", b"1", (1,), [1], {1: 2}, {2: 1}, {1}, frozenset({1}), {"a": 1, "b": 2},
    {"b": 2, "a": 1}, OrderedDict(a=1), defaultdict(list), defaultdict(set), re.compile("a"), len, str.lower,
    "a".join, "b".join, partial(int, base=2), partial(int, base=3), lru_cache(lambda x: 2 * x), np.arange(3),
    np.arange(3.0), np.arange(4)[::2], Path("a"), Path("b"), int, np, re, lambda x: x, lambda x: -x,
]  # fmt: skip


def test_different_values_have_different_fingerprints() -> None:
    prints = [fingerprint_of(value) for value in VALUES]
    assert len(set(prints)) == len(VALUES)
    assert prints == [fingerprint_of(value) for value in VALUES]


def test_a_value_may_contain_itself() -> None:
    loops: list[list[Any]] = [[1], [1]]
    for loop in loops:
        loop.append(loop)
    assert fingerprint_of(loops[0]) == fingerprint_of(loops[1]) != fingerprint_of([1, [1]])


def drawing() -> Iterator[int]:
    yield 1


OUTSIDE = {
    "a file": "def f(x):\n    return open(x).read()",
    "a path's file": "from pathlib import Path\ndef f(x):\n    return Path(x).read_text()",
    "the environment": "import os\ndef f(x):\n    return os.environ[x]",
    "chance": "import random\ndef f(x):\n    return random.random()",
    "chance by name": "from random import choice\ndef f(x):\n    return choice(x)",
    "numpy's chance": "import numpy as np\ndef f(x):\n    return np.random.rand()",
    "the clock": "from time import time\ndef f(x):\n    return time()",
    "the network": "def f(x):\n    import httpx\n    return httpx.get(x)",
    "another program": "import subprocess\ndef f(x):\n    return subprocess.run(x)",
    "code in a text": "def f(x):\n    return eval(x)",
    "what it noted before": "N = 0\ndef f(x):\n    global N\n    N += 1\n    return N",
    "a lock": "import threading\nL = threading.Lock()\ndef f(x):\n    return L",
    "in a helper": "def g(x):\n    return open(x)\ndef f(x):\n    return [g(y) for y in x]",
}


@pytest.mark.parametrize("code", OUTSIDE)
def test_what_depends_on_more_than_its_arguments_has_no_fingerprint(code: str) -> None:
    with pytest.raises(UnrepeatableError):
        fingerprint_of(built(OUTSIDE[code])["f"])


@pytest.mark.parametrize("make", [drawing, lambda: sys.stdout, lambda: sys._getframe()])
def test_what_cannot_be_followed_has_no_fingerprint(make: Callable[[], object]) -> None:
    with pytest.raises(UnrepeatableError):
        fingerprint_of({"deep": [make()]})
    assert unrepeatable_mark() != unrepeatable_mark()
