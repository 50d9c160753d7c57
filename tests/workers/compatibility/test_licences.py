"""The terms of parents, intersected."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Parent
from workers.compatibility.licences.reading import terms_of
from workers.compatibility.licences.table import LICENCES
from workers.compatibility.licences.verdict import ParentTerms, judge


def judged(*licences: str | None) -> tuple[str, str | None, list[str]]:
    found = judge([ParentTerms(f"org/{place}", licence) for place, licence in enumerate(licences)])
    return found.licence, found.name, [problem.kind for problem in found.problems]


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("apache-2.0", "apache-2.0"), ("apache-2.0", None, [])),
        (("mit", "apache-2.0"), ("apache-2.0", None, [])),
        (("mit", "cc0-1.0"), ("mit", None, [])),
        (("llama3.1", "mit"), ("llama3.1", None, [])),
        (("qwen", "apache-2.0"), ("other", "qwen", [])),
        (("mit", "cc-by-nc-4.0"), ("cc-by-nc-4.0", None, ["non_commercial"])),
        (("mit", None), ("other", "mit-and-unknown", ["unknown"])),
        (("mit", "my-own-terms"), ("other", "mit-and-my-own-terms", ["unknown"])),
        ((None, None), ("other", "unknown", ["unknown", "unknown"])),
        (("llama3.1", "gemma"), ("other", "llama3.1-and-gemma", ["conflict"])),
        (("gpl-3.0", "cc-by-nc-4.0"), ("other", "gpl-3.0-and-cc-by-nc-4.0", ["non_commercial", "conflict"])),
        (("cc-by-nc-nd-4.0",), ("cc-by-nc-nd-4.0", None, ["no_derivatives"])),
    ],
)  # fmt: skip
def test_terms_are_intersected(
    licences: tuple[str | None, ...], expected: tuple[str, str | None, list[str]]
) -> None:
    assert judged(*licences) == expected


def test_merges_of_llama_3_begin_with_its_name() -> None:
    found = judge([ParentTerms("meta/one", "llama3.1"), ParentTerms("org/two", "mit")])
    assert found.naming_problem("Llama-3.1-8B-mix") is None
    assert found.naming_problem("llama3-mix") is None
    wrong = found.naming_problem("mix-of-Llama")
    assert wrong is not None
    assert "does not begin with Llama" in wrong.detail
    assert any("Built with Llama" in duty for duty in found.duties)
    assert judge([ParentTerms("org/two", "mit")]).naming_problem("anything") is None


def test_a_gated_parent_is_a_problem() -> None:
    found = judge([ParentTerms("org/one", "mit", gated=True)])
    assert [problem.kind for problem in found.problems] == ["gated"]


def test_what_the_table_says_is_consistent() -> None:
    assert all(name == licence.id for name, licence in LICENCES.items())
    assert all(licence.binds for licence in LICENCES.values() if not licence.commercial)


def test_terms_are_read_from_cards(tmp_path: Path) -> None:
    cards = {
        "one": "license: MIT\nlanguage: [en, ja]\ndatasets: org/texts",
        "two": "license: other\nlicense_name: qwen\nlicense_link: https://example.org/LICENSE",
        "three": "license: [mit]",
    }
    for name, text in cards.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(f"---\n{text}\n---\n")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"license": "apache-2.0"}')
    one, two, three, bare = terms_of(
        Parent(model=str(tmp_path / name)) for name in ("one", "two", "three", "bare")
    )
    assert (one.licence, one.languages, one.datasets, one.gated) == (
        "mit", ("en", "ja"), ("org/texts",), False
    )  # fmt: skip
    assert (two.licence, two.link) == ("qwen", "https://example.org/LICENSE")
    assert (three.licence, bare.licence) == ("mit", "apache-2.0")
