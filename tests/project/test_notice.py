"""NOTICE names every package whose licence asks more than a permissive one."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY
from tests.project.test_packaging import PROJECT

RECIPROCAL = re.compile(r"\b(A?GPL|LGPL|MPL)|General Public License|Mozilla")
NOTICE = (REPOSITORY / "NOTICE").read_text(encoding="utf-8")


def declared() -> list[str]:
    """Everything that pyproject.toml asks for, with any extra or for development."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    groups = PROJECT["dependency-groups"].values()
    return [*PROJECT["project"]["dependencies"], *(r for part in (*extras, *groups) for r in part)]


def installed() -> set[str]:
    """The distributions here that the declared requirements bring along."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in declared()]
    while waiting:
        each = waiting.pop()
        key = (canonicalize_name(each.name), frozenset(each.extras))
        if key in found:
            continue
        found.add(key)
        try:
            further = [Requirement(text) for text in requires(each.name) or ()]
        except PackageNotFoundError:  # vllm, say, which is not installed to run the tests
            continue
        extras = each.extras or {""}
        waiting += [
            r for r in further if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras)
        ]
    return {name for name, _ in found}


def licence(name: str) -> str | None:
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        return None
    keys = ("License-Expression", "License", "Classifier")
    told = [text for key in keys for text in fields.get_all(key) or ()]
    return " ".join(text[:100] for text in told)


def test_every_package_with_a_reciprocal_licence_is_named() -> None:
    wanted = {name for name in installed() if RECIPROCAL.search(licence(name) or "")}
    named = set(re.findall(r"^([a-z0-9-]+)\s+\S*(?:GPL|MPL)-", NOTICE, flags=re.MULTILINE))
    assert wanted <= named
    assert {name for name in named if licence(name)} <= wanted
