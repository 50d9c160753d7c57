"""Whatever the schema forbids is told with its line and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from service.cli.spec_file import read_spec_file
from service.cli.terminal.output import CommandError
from service.errors import MOST_MISTAKES, InvalidSpecError
from service.specification.json_schema import spec_schema
from service.specification.reading import read_spec
from tests.service.specification.schema_mistakes import RIGHT, Wrong, mistakes

COUNT = 300


def test_the_right_spec_is_right(tmp_path: Path) -> None:
    path = tmp_path / "right.yml"
    path.write_text(yaml.safe_dump(dict(RIGHT), sort_keys=False))
    spec, found = read_spec(read_spec_file(path).content)
    assert spec is not None, found
    jsonschema.validate(dict(RIGHT), spec_schema())


def test_three_hundred_mistakes_are_told_with_line_and_hint(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wrong = mistakes(COUNT, seed=12)
    assert len({(each.what, each.path) for each in wrong}) > 200
    paths = [written(tmp_path / f"{number}.yml", each) for number, each in enumerate(wrong)]
    begun = time.perf_counter()
    all_told = [explained(path) for path in paths]
    seconds = f"{time.perf_counter() - begun:.2f}"
    record_property("seconds", seconds)
    print(f"{COUNT} mistakes in {seconds} s")  # noqa: T201 - what one asks for with -s
    for each, told in zip(wrong, all_told, strict=True):
        lines = told.splitlines()
        shown = f"{each.what} at {each.path}: {told}"
        assert any(f".yml:{line_of(each)}: " in line for line in lines[1:]), shown
        hints = [after for line, after in zip(lines, [*lines[1:], ""], strict=True) if ".yml:" in line[2:]]
        assert all(hint.startswith("      ") and hint.strip() for hint in hints[1:]), shown


@pytest.mark.parametrize("what", ["a misspelt key", "an unknown word", "a missing key"])
def test_an_editor_marks_the_same_mistakes(what: str) -> None:
    schema = spec_schema()
    kind = [each for each in mistakes(COUNT, seed=12) if each.what == what]
    assert len(kind) > 3
    for each in kind:
        if each.path != () or what != "a missing key":
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(each.content, schema)


def written(path: Path, wrong: Wrong) -> Path:
    """Writes a file with a mistake."""
    path.write_text(yaml.safe_dump(wrong.content, sort_keys=False))
    return path


def explained(path: Path) -> str:
    """Returns what is told of a file with a mistake."""
    try:
        file = read_spec_file(path)
    except CommandError as error:
        return f"\n{error.message}\n      {error.hint}"
    spec, found = read_spec(file.content)
    return "nothing" if spec is not None else file.explain(found)


def line_of(wrong: Wrong) -> int:
    """Returns the line on which the mistake stands."""
    node = yaml.compose(yaml.safe_dump(wrong.content, sort_keys=False))
    line = 0
    for part in wrong.path:
        if isinstance(node, yaml.MappingNode):
            key, node = next((k, v) for k, v in node.value if k.value == part)
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1


def test_of_thousands_of_mistakes_the_first_are_told_and_how_many_more_there_are() -> None:
    spec, found = read_spec(
        dict(RIGHT) | {f"key {number}": 0 for number in range(20_000)} | {"seed": "seven"}
    )
    assert spec is None
    assert len(found) == 20_001
    told = InvalidSpecError(found).mistakes
    assert len(told) == MOST_MISTAKES + 1
    assert told[0].pointer == "/seed"
    assert told[-1].detail == "and 19951 more"


@pytest.mark.parametrize("weight", [1e308, 1e-300, 0.0])
def test_weights_whose_sum_or_share_is_no_number_are_refused(weight: float) -> None:
    _, found = read_spec(dict(RIGHT) | {"objectives": [{"task": "words", "weight": weight}]})
    assert [mistake.pointer for mistake in found] == ["/objectives/0/weight"]
