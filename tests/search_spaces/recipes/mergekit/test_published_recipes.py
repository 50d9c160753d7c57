"""Recipes as people publish them: what mergekit accepts is read, and what means nothing is told."""

from __future__ import annotations

import pytest

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError
from search_spaces.recipes.chat_templates import BUILT_IN
from search_spaces.recipes.mergekit.problems import Notice
from search_spaces.recipes.mergekit.recipe_file import final_merges, read_merges
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.settings import constant
from tests.search_spaces.recipes.mergekit.token_rules import TOKEN_RULES

SLERP = "merge_method: slerp\nbase_model: a\nmodels:\n- model: a\n- model: b\nparameters:\n  t: 0.5\n"
AVERAGE = (
    "merge_method: linear\nmodels:\n"
    "- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 2}}\n"
)
AROUND = (
    "merge_method: task_arithmetic\nbase_model: c\nmodels:\n"
    "- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 2}}\n"
)
STOCK = "merge_method: model_stock\nbase_model: c\nmodels:\n- model: a\n- model: b\n"
STACK = "merge_method: passthrough\nslices:\n- sources:\n  - model: a\n    layer_range: [0, 2]\n"


def told(text: str) -> tuple[Recipe, dict[str, int | None]]:
    """Returns the recipe, and the lines of what is told, by field."""
    notices: list[Notice] = []
    recipe = read_recipe(text, notices)
    assert all(notice.detail and notice.remedy for notice in notices)
    return recipe, {notice.field: notice.line for notice in notices}


@pytest.mark.parametrize(
    ("plain", "more", "field", "line"),
    [
        (SLERP, "  embed_slerp: true\n", "parameters.embed_slerp", 8),
        (SLERP, "  normalize: true\n", "parameters.normalize", 8),
        (SLERP, "  int8_mask: 1\n", "parameters.int8_mask", 8),
        (SLERP, "  lambda: 0.5\n", "parameters.lambda", 8),
        (SLERP, "  t_value: [{strange: 1}]\n", "parameters.t_value", 8),
        (AVERAGE, "parameters: {density: [0.1, 0.5]}\n", "parameters.density", 5),
        (STOCK, "  parameters: {weight: 0.5}\n", "models.1.parameters.weight", 6),
        (STOCK, "  parameters:\n    filter_wise: true\n", "models.1.parameters.filter_wise", 7),
        (AROUND, "- {model: c, parameters: {weight: 0.3}}\n", "models.2.parameters", 6),
        (AVERAGE, "name: first\n", "name", 5),
        (AVERAGE, "pad_to_multiple_of: 8\n", "pad_to_multiple_of", 5),
        (AVERAGE, "int8_mask: true\n", "int8_mask", 5),
        (AVERAGE, "\ndescription: my best\n", "description", 6),
        (AVERAGE, "slices: []\n", "slices", 5),
        (STACK, "    revision: v2\n", "slices.0.sources.0.revision", 6),
        (STACK, "  residual_weight: 0.5\n", "slices.0.residual_weight", 6),
        (STACK, "  dtype: float16\n", "slices.0.dtype", 6),
    ],
)
def test_what_means_nothing_is_told_with_its_line_and_changes_nothing(
    plain: str, more: str, field: str, line: int
) -> None:
    recipe, notices = told(plain + more)
    assert notices == {field: line}
    assert recipe == read_recipe(plain)


@pytest.mark.parametrize(("more", "line"), [("name: first\n", 5), ("dtype: float16\ndtype: float32\n", 6)])
def test_without_a_listener_what_means_nothing_is_a_mistake(more: str, line: int) -> None:
    with pytest.raises(RecipeFileError, match=f"line {line}: "):
        read_recipe(AVERAGE + more)


def test_what_counts_in_another_way_than_it_seems_is_told_too() -> None:
    recipe, notices = told(AVERAGE + "dtype: float16\ndtype: float32\n")
    assert (recipe.dtype, notices) == ("float32", {"dtype": 6})
    recipe, notices = told(AVERAGE + "tokenizer_source: base\n")
    assert (recipe.tokenizer, notices) == (Parent(model="a"), {"tokenizer_source": 5})
    _, notices = told(AVERAGE.replace("linear", "karcher").replace("weight: 2", ""))
    assert notices == {"models.0.parameters.weight": 3}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (AVERAGE + "tokenzer_source: union\n", "tokenizer_source"),
        (AVERAGE + "paramters: {normalize: false}\n", "parameters"),
        (AVERAGE + "Dtype: float16\n", "dtype"),
        (AVERAGE + "out-dtype: float16\n", "out_dtype"),
        (AVERAGE + "parameters: {nomralize: false}\n", "normalize"),
        (AROUND.replace("weight: 1", "weight: 1, desnity: 0.5"), "density"),
        (STACK.replace("layer_range", "layer_ranges"), "layer_range"),
        (AVERAGE + "chat_template: llama-3\n", "llama3"),
        (SLERP.replace("slerp", "slrep"), "slerp"),
    ],
)
def test_misspelt_names_stay_mistakes_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(RecipeFileError, match=rf"line \d+: .*\b{meant}\b"):
        read_recipe(text, notices=[])


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            SLERP.replace("- model: b\n", "").replace("base_model: a", "base_model: b"),
            SLERP.replace("base_model: a", "base_model: b"),
        ),
        (AVERAGE.replace("1}", "'1.0'}"), AVERAGE),
        (AVERAGE + "parameters: {normalize: 'no'}\n", AVERAGE + "parameters: {normalize: false}\n"),
        (AVERAGE + "dtype: torch.float16\n", AVERAGE + "dtype: float16\n"),
        (
            AVERAGE.replace("model: a", "model: {model: {path: org/a, revision: v2}, lora: {path: org/l}}"),
            AVERAGE.replace("model: a", "model: org/a@v2+org/l"),
        ),
        (AVERAGE.replace("\n", "\r\n"), AVERAGE),
        ("---\n" + AVERAGE + "base_model:\nslices: null\n", AVERAGE),
        (AROUND + "tokenizer: {}\n", AROUND + "tokenizer_source: union\n"),
        (AROUND + "tokenizer_source: model:org/d\n", AROUND + "tokenizer_source: org/d\n"),
        (
            (
                "merge_method: linear\nmodels:\n- {model: a, parameters: &p {weight: 1}}\n"
                "- {model: b, parameters: {<<: *p, weight: 2}}\n"
            ),
            AVERAGE,
        ),
        (
            (
                "merge_method: linear\nmodules: {default: {models: [{model: a, parameters: {weight: 1}}, "
                "{model: b, parameters: {weight: 2}}]}}\n"
            ),
            AVERAGE,
        ),
    ],
)
def test_other_ways_to_write_a_recipe_give_the_same(text: str, same: str) -> None:
    recipe, _ = told(text)
    assert recipe == read_recipe(same)


def test_a_base_beside_slices_gives_the_configuration_alone() -> None:
    recipe, notices = told(STACK + "base_model: c\n")
    assert recipe.tokenizer_owner == Parent(model="c")
    assert recipe.base is None
    assert not notices


def test_switches_change_from_layer_to_layer_in_steps() -> None:
    recipe = read_recipe(AVERAGE + "parameters: {normalize: [true, false]}\n")
    part = recipe.slices[0]
    values = [recipe.shared_value("normalize", part, "x", depth) for depth in (0.0, 0.6, 1.0)]
    assert values == [1.0, 1.0, 0.0]
    assert read_recipe(write_recipe(recipe)) == recipe


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_chat_template_is_named_or_written_out_and_written_again_as_it_was(name: str) -> None:
    recipe = read_recipe(AVERAGE + f"chat_template: {name}\n")
    assert recipe.chat_template_text == BUILT_IN[name]
    assert f"chat_template: {name}\n" in write_recipe(recipe)
    own = "chat_template: |\n  {% for turn in messages %}\n  {{ turn['content'] }}\n  {% endfor %}\n"
    written = read_recipe(AVERAGE + own)
    assert written.chat_template_text is not None
    assert written.chat_template_text.endswith("{% endfor %}\n")
    assert read_recipe(write_recipe(written)) == written
    assert len({recipe.digest, written.digest, read_recipe(AVERAGE).digest}) == 3


TOKENS = TOKEN_RULES.replace("model: a, token_id", "model: b, token_id").replace(
    "<eot>: {source: a}\n", "<eot>: {source: b}\n    known: {}\n"
)


def test_rules_for_single_tokens_are_read_and_written() -> None:
    recipe, notices = told(AROUND + TOKENS)
    assert not notices
    zero, other, numbered, same, added = recipe.tokens
    assert (zero.token, zero.zero, zero.force) == ("<|im_start|>", True, False)
    assert (other.source, other.source_token, other.force) == (Parent(model="a"), "</s>", True)
    assert (numbered.source, numbered.source_id) == (Parent(model="b"), 7)
    assert (same.source, added.source) == (Parent(model="b"), None)
    assert read_recipe(write_recipe(recipe)) == recipe
    assert recipe.digest != read_recipe(AROUND + TOKENS.replace("token_id: 7", "token_id: 8")).digest


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"C:\models\left", "C:/models/left"),
        ("D:/models/left", "D:/models/left"),
        (r".\models\left", "./models/left"),
        (r"..\left+C:\loras\one", "../left+C:/loras/one"),
        (r"\\server\share\left", "//server/share/left"),
        ("./my models/left one", "./my models/left one"),
        ("org/left@v2+org/adapter@v3", "org/left@v2+org/adapter@v3"),
    ],
)
def test_references_of_all_systems_are_read(text: str, read: str) -> None:
    parent = read_recipe(AVERAGE.replace("model: a", f"model: '{text}'")).slices[0].sources[0].parent
    assert str(parent) == read
    assert Parent.model_validate(read) == parent
    assert (parent.adapter is None) == ("+" not in text)


CHAIN = """\
name: first
merge_method: slerp
base_model: org/a
models: [{model: org/a}, {model: org/b}]
parameters: {t: 0.5}
---
merge_method: linear
models:
- {model: second, parameters: {weight: 1}}
- {model: org/c, parameters: {weight: 2}}
name_of_nothing: 3
---
# evomerge seed: 4
name: second
merge_method: dare_linear
base_model: org/a
models: [{model: first, parameters: {weight: 1, density: 0.5}}]
"""


def test_named_merges_are_read_in_the_order_in_which_they_feed_each_other() -> None:
    notices: list[Notice] = []
    merges = read_merges(CHAIN, notices)
    assert [(merge.name, merge.takes) for merge in merges] == [
        ("first", ()),
        ("second", ("first",)),
        (None, ("second",)),
    ]
    assert merges[1].recipe.seed == 4
    assert merges[2].recipe.slices[0].sources[1].parameters["weight"] == constant(2.0)
    assert final_merges(merges) == merges[2:]
    assert [(notice.field, notice.line) for notice in notices] == [("name_of_nothing", 11)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (AVERAGE + "---\n" + AVERAGE, "line 6: name: another document without a name"),
        (AVERAGE + "---\n" + AVERAGE + "name: a/b\n", "line 10: name: 'a/b' is no name"),
        (AVERAGE + "name: a\n---\n" + AVERAGE + "name: a\n", "line 11: name: two merges are called 'a'"),
        (AVERAGE + "name: x\n---\nmodels: [{model: x}]\n", "line 7: merge_method: it is missing"),
        (
            AVERAGE.replace("model: a", "model: y") + "name: x\n---\n"
            + AVERAGE.replace("model: b", "model: x") + "name: y\n",
            "the merges x, y take each other's models in a circle",
        ),
    ],
)  # fmt: skip
def test_merges_that_cannot_feed_each_other_are_refused(text: str, words: str) -> None:
    with pytest.raises(RecipeFileError) as caught:
        read_merges(text, [])
    assert words in str(caught.value)
