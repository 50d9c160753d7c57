"""Recipes that are no recipes: each by its number in the list of bad inputs, group R."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.strict_yaml import LARGEST_TEXT
from tests.bad_input.refusals import refusal
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with parents that recipes name as ./base, ./left, ./right and ./gpt2."""
    root = tmp_path_factory.mktemp("recipes")
    for seed, name in enumerate(("base", "left", "right")):
        save_tiny_model(root / name, seed)
    save_tiny_model(root / "gpt2", 3, architecture="gpt2")
    return root


LINEAR = (
    "merge_method: linear\n"
    "models:\n"
    "- {model: ./left, parameters: {weight: %s}}\n"
    "- {model: ./right, parameters: {weight: 1}}\n"
)
PASS = "merge_method: passthrough\nslices:\n- sources: [{model: ./left, layer_range: %s}]\n"
TIES = (
    "merge_method: ties\n"
    "base_model: ./base\n"
    "models:\n"
    "- {model: ./left, parameters: {weight: 1, density: %s}}\n"
)
SLERP = (
    "merge_method: slerp\n"
    "base_model: ./left\n"
    "models: [{model: ./left}, {model: ./right}]\n"
    "parameters: {t: %s}\n"
)
DELLA = (
    "merge_method: della\n"
    "base_model: ./base\n"
    "models:\n"
    "- {model: ./left, parameters: {weight: 1, density: %s, epsilon: %s}}\n"
)
SLICES = "- sources: [{model: ./left, layer_range: [0, 10000]}]\n" * 1000
SHUFFLED = (
    "models: [{parameters: {weight: 1.0}, model: ./left}, {model: ./right, parameters: {weight: 1}}]\n"
    "merge_method: linear\n"
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


def parent(name: str) -> str:
    return (LINEAR % 1).replace("./left", name)


BAD: dict[str, tuple[str, str]] = {
    "R1 billion laughs": (BOMB, "is an alias"),
    "R2 recursive alias": ("&a [*a]", "is an alias"),
    "R3 python object": (
        "!!python/object/apply:os.system [touch pwned]",
        "could not determine a constructor",
    ),
    "R4 function tag": ("merge_method: !function utils.x", "could not determine a constructor"),
    "R5 merge key loop": ("a: &a {<<: *a}", "is an alias"),
    "R6 tabs": ("merge_method: linear\n\tmodels: []", "cannot start any token"),
    "R7 octal": (LINEAR % "012", "'012' is no number"),
    "R7 sexagesimal": (LINEAR % "1:30", "'1:30' is no number"),
    "R7 on": (LINEAR % "on", "true is no number"),
    "R7 date": (LINEAR % "2020-01-01", "is no number"),
    "R7 no": (parent("no"), "is no model"),
    "R8 too long": ("# " + "x" * (LARGEST_TEXT + 1), f"more than {LARGEST_TEXT} bytes"),
    "R9 two documents": ("a: 1\n---\nb: 2", "another document"),
    "R10 unknown method": (LINEAR.replace("linear", "linaer") % 1, "did you mean 'linear'?"),
    "R11 no base": (TIES.replace("base_model: ./base\n", "") % 1, "ties needs a base model"),
    "R12 three parents": (
        SLERP.replace("{model: ./right}", "{model: ./right}, {model: ./base}") % 0.5,
        "takes exactly 2 parents, got 3",
    ),
    "R13 NaN": (SLERP % ".nan", "nan is no number"),
    "R14 density above 1": (TIES % "1.0001", "density is 1.0001"),
    "R14 density below 0": (TIES % "-0.1", "density is -0.1"),
    "R15 epsilon": (DELLA % (0.9, 0.3), "probabilities"),
    "R15 epsilon below": (DELLA % (0.1, 0.2), "probabilities"),
    "R16 weights that cancel": (LINEAR % -1, "sum to 0"),
    "R18 empty gradient": (LINEAR % "[]", "an empty list"),
    "R18 NaN in a gradient": (LINEAR % "[1, .inf]", "inf is no number"),
    "R19 start after end": (PASS % "[2, 1]", "hold no layer"),
    "R19 negative": (PASS % "[-1, 1]", "hold no layer"),
    "R19 beyond the model": (PASS % "[0, 9]", "it has 2"),
    "R19 text": (PASS % "['0', 2]", "is no range of layers"),
    "R20 frankenmerge bomb": (
        f"merge_method: passthrough\nslices:\n{SLICES}",
        "10000000 layers",
    ),
    "R21 mixed architectures": (parent("./gpt2"), "is a LlamaForCausalLM"),
    "R25 dtype": (LINEAR % 1 + "dtype: float3\n", "did you mean 'float32'?"),
    "R26 catastrophic filter": (
        LINEAR % "[{filter: '(a+)+$', value: 1}, {value: 2}]",
        "part of no tensor's name",
    ),
    "R27 idle filter": (
        LINEAR % "[{filter: mpl, value: 1}, {value: 2}]",
        "'mpl' is part of no tensor's name",
    ),
    "R31 tokenizer from an address": (LINEAR % 1 + "tokenizer_source: https://a.test/b\n", "never fetched"),
    "R33 file address": (parent("file:///etc"), "never fetched"),
    "R34 s3": (parent("s3://bucket/key"), "never fetched"),
    "R34 ssh": (parent("git+ssh://host/x"), "never fetched"),
    "R34 metadata service": (parent("http://169.254.169.254/"), "never fetched"),
    "R35 percent": (parent("a%2e%2e%2fb"), "'%2e'"),
    "R35 backslash": (parent("'a\\b'"), "no model's name"),
    "R35 Unicode slash": (parent("a\u2215b"), "no model's name"),
    "R35 trailing dot": (parent("org/name."), "is no repository name"),
    "R35 dots": (parent("org/../../etc"), "there is no folder"),
    "R35 right to left": (parent("org/na\u202eme"), "no model's name"),
    "R35 zero width": (parent("org/na\u200bme"), "no model's name"),
    "nothing": ("", "it holds nothing"),
    "a parent twice": (parent("./right"), "stands there twice"),
    "missing parent": (parent("./nowhere"), "there is no folder"),
}


# What only the parents' headers show is told by the preflight as well.
SEEN_BEFORE = ("R15", "R19 beyond", "R21", "R26", "R27", "R35 dots", "R35 trailing", "missing")


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_recipe_is_refused_and_nothing_is_written(name: str, folder: Path) -> None:
    text, words = BAD[name]
    file = folder / "recipe.yml"
    file.write_text(text, encoding="utf-8")
    assert words in refusal("merge", str(file), str(folder / "out"), within=folder)
    if name.startswith(SEEN_BEFORE):
        assert words in refusal("preflight", str(file), within=folder)


def odd_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields what is no text of a recipe, and why."""
    file = folder / "odd.yml"
    file.write_bytes(b"\xff\xfe\x00")
    yield "no UTF-8 text", file
    with file.open("wb") as stream:
        stream.truncate(100 * 2**20)  # R8: 100 MB, of nothing
    yield "bytes, which no recipe needs", file
    file.unlink()
    yield "No such file", file
    yield "Is a directory", folder
    yield "bytes, which no recipe needs", Path("/dev/zero")


def test_what_is_no_text_is_refused(folder: Path) -> None:
    for words, file in odd_files(folder):
        assert words in refusal("merge", str(file), str(folder / "out"), within=folder)


def test_recipes_that_differ_have_different_digests() -> None:
    texts = (LINEAR % 0.3, LINEAR % 0.301, parent("./base"), LINEAR % 0.3 + "dtype: float32\n", TIES % 0.3)
    assert len({read_recipe(text).digest for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LINEAR % 1, SHUFFLED),
        (LINEAR % "0.0", LINEAR % "-0.0"),
        (LINEAR % "1e3", LINEAR % "1000"),
        (LINEAR % "2", LINEAR % "{value: 2}"),
        (
            TIES % "0.5" + "parameters: {normalize: true}\n",
            TIES % "[{value: 0.5}]" + "parameters: {normalize: yes}\n",
        ),
        (TIES % "-0.0", TIES % "0"),
        (LINEAR % "0.30000000000000004", LINEAR % "0.3"),
    ],
)
def test_one_recipe_written_in_two_ways_has_one_digest(one: str, other: str) -> None:
    assert read_recipe(one).digest == read_recipe(other).digest


def test_bounds_of_parameters_are_themselves_allowed(folder: Path) -> None:
    for text in (TIES % 0, TIES % 1, SLERP % 0, SLERP % 1.5):
        assert read_recipe(text).digest
