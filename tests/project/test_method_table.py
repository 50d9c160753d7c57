"""docs/methods.md knows every method."""

from __future__ import annotations

import re

import pytest

from scripts.write_method_table import BEGIN, DOCUMENT, updated
from search_spaces.catalogue.methods import METHODS

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_table_of_methods_is_that_of_today() -> None:
    assert updated(TEXT) == TEXT, "run python scripts/write_method_table.py"


def test_the_table_has_a_line_for_every_method() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)[: len(METHODS)] == list(METHODS)


def test_every_method_and_parameter_that_is_named_exists() -> None:
    known = {p.name for method in METHODS.values() for p in method.parameters} | METHODS.keys()
    known |= {word for method in METHODS.values() for p in method.parameters for word in p.choices}
    (notes,) = re.findall(r"^## Where evomerge differs.*?(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    keys = {"base_model", "tokenizer_source", "dtype", "out_dtype", "merge_method", "models", "modules"}
    named = {word.split(":")[0] for word in re.findall(r"`([a-z_0-9]+(?:: [a-z_0-9]+)?)`", notes)}
    assert named - known - keys == set()


def test_a_document_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks one of its marks"):
        updated(TEXT.replace(BEGIN, ""))
