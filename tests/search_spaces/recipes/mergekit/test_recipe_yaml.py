"""Recipes as mergekit YAML: read, written, and refused with everything that is wrong."""

from __future__ import annotations

from textwrap import dedent

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.errors import RecipeError, RecipeFileError
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.recipes.settings import Setting, constant
from tests.search_spaces.random_recipes import recipes

TIES = """
merge_method: ties
base_model: org/base
models:
  - model: org/left
    parameters: {weight: 0.5, density: [0.2, 0.8]}
  - model: org/right@v2
    parameters:
      weight:
        - filter: mlp
          value: [0.1, 0.9]
        - value: 1e-1
parameters:
  normalize: false
dtype: bfloat16
out_dtype: float32
tokenizer_source: base
"""

SLICES = """
merge_method: slerp
base_model: org/a
slices:
  - sources:
      - {model: org/a, layer_range: [0, 2]}
      - {model: org/b, layer_range: [0, 2]}
    parameters: {t: 0.2}
  - base_model: org/b
    sources:
      - {model: org/a, layer_range: [2, 4]}
      - {model: org/b, layer_range: [2, 4]}
    parameters: {t: {filter: mlp, value: 0.7}}
parameters: {t: 0.5}
"""


def mistakes(text: str) -> dict[str, str]:
    """Returns what is wrong with a text: field -> the error's detail and remedy."""
    with pytest.raises(RecipeFileError) as caught:
        read_recipe(dedent(text))
    return {problem.field: f"{problem.detail}; {problem.remedy}" for problem in caught.value.problems}


def test_models_are_read_as_one_slice_over_all_layers() -> None:
    recipe = read_recipe(TIES)
    assert recipe.method == "ties"
    assert recipe.base == recipe.tokenizer == Parent(model="org/base")
    (part,) = recipe.slices
    left, right = part.sources
    assert left.layers is None
    assert left.parameters["density"] == (Setting(value=(0.2, 0.8)),)
    assert right.parent == Parent(model="org/right", revision="v2")
    assert right.parameters["weight"] == (Setting(value=(0.1, 0.9), filter="mlp"), Setting(value=0.1))
    assert recipe.parameters == {"normalize": constant(0.0)}
    assert (recipe.dtype, recipe.out_dtype) == ("bfloat16", "float32")


def test_slices_keep_their_layers_bases_and_parameters() -> None:
    first, second = read_recipe(SLICES).slices
    assert first.sources[1].layers == (0, 2)
    assert first.base is None
    assert second.base == Parent(model="org/b")
    assert second.parameters["t"] == (Setting(value=0.7, filter="mlp"),)


def test_the_seed_stands_in_a_comment() -> None:
    text = "# evomerge seed: 42\n" + TIES.replace("ties", "dare_ties").lstrip()
    recipe = read_recipe(text)
    assert recipe.seed == 42
    assert write_recipe(recipe).startswith("# evomerge seed: 42\n")
    assert read_recipe(text.replace("42", "0")).seed == 0
    assert "# evomerge" not in write_recipe(read_recipe(TIES))


def test_a_seed_below_the_first_key_is_an_ordinary_comment() -> None:
    assert read_recipe(TIES.lstrip().replace("ties", "dare_ties") + "\n# evomerge seed: 42\n").seed == 0


@given(recipe=recipes())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_a_recipe_that_is_written_and_read_is_the_same_recipe(recipe: Recipe) -> None:
    again = read_recipe(write_recipe(recipe))
    assert again == recipe
    assert again.digest == recipe.digest


def test_any_yaml_reader_understands_what_is_written() -> None:
    content = yaml.safe_load(write_recipe(read_recipe(TIES)))
    assert content["merge_method"] == "ties"
    assert content["models"][1]["parameters"]["weight"] == [
        {"filter": "mlp", "value": [0.1, 0.9]},
        {"value": 0.1},
    ]
    assert content["parameters"]["normalize"] is False


def test_a_sliced_recipe_lists_the_base_in_every_slice_for_mergekit_and_is_still_the_same_recipe() -> None:
    base, parent = Parent.model_validate("org/base"), Parent.model_validate("org/left")
    spans = ((0, 2), (2, 5))
    mine = [Source(parent=parent, layers=span, parameters={"weight": constant(0.5)}) for span in spans]
    plain = Recipe(method="ties", base=base, slices=tuple(Slice(sources=(source,)) for source in mine))
    listed = tuple(
        Slice(sources=(m, Source(parent=base, layers=span))) for m, span in zip(mine, spans, strict=True)
    )
    assert Recipe(method="ties", base=base, slices=listed).digest == plain.digest

    written = yaml.safe_load(write_recipe(plain))
    models = [[source["model"] for source in part["sources"]] for part in written["slices"]]
    assert models == [["org/left", "org/base"]] * 2
    assert written["slices"][1]["sources"][1]["layer_range"] == [2, 5]
    assert read_recipe(write_recipe(plain)) == plain


def test_the_owner_of_an_averages_tokenizer_is_written_as_mergekits_base_where_that_changes_nothing() -> None:
    def average(tokenizer: str) -> dict[str, object]:
        sources = tuple(
            Source(parent=Parent(model=m), parameters={"weight": constant(0.5)}) for m in ("a", "b")
        )
        recipe = Recipe(method="linear", slices=(Slice(sources=sources),), tokenizer=Parent(model=tokenizer))
        content: dict[str, object] = yaml.safe_load(write_recipe(recipe))
        return content

    assert average("a")["base_model"] == "a"
    assert "tokenizer_source" not in average("a")
    assert average("c")["tokenizer_source"] == "c"
    assert "base_model" not in average("c")


def test_a_tokenizer_that_mergekit_would_take_for_a_word_is_refused() -> None:
    part = Slice(sources=(Source(parent=Parent(model="a"), parameters={"weight": constant(1.0)}),))
    recipe = Recipe(method="linear", slices=(part,), tokenizer=Parent(model="union"))
    with pytest.raises(RecipeError, match=r"give the folder as \./union"):
        write_recipe(recipe)


def test_all_mistakes_are_told_at_once_each_with_its_place_and_remedy() -> None:
    found = mistakes(
        """
        merge_method: ties
        paramters: {normalize: true}
        models:
          - model: org/left
            parameters: {weight: 0.5, desnity: 0.5}
          - model: 3
            layer_range: [0, 4]
            parameters: {weight: heavy, density: 1.5}
        parameters: {normalize: 0.5, lambda: .nan}
        dtype: bf16
        tokenizer_source: 3
        """
    )
    assert found.keys() == {
        "paramters",
        "models.0.parameters.desnity",
        "models.1.model",
        "models.1.layer_range",
        "models.1.parameters.weight",
        "models.1.parameters.density",
        "parameters.normalize",
        "parameters.lambda",
        "dtype",
        "tokenizer_source",
        "base_model",
    }
    assert "did you mean 'parameters'?" in found["paramters"]
    assert "did you mean 'density'?" in found["models.0.parameters.desnity"]
    assert "'heavy' is no number" in found["models.1.parameters.weight"]
    assert "use 0 to 1" in found["models.1.parameters.density"]
    assert "write true or false" in found["parameters.normalize"]
    assert "nan is no number" in found["parameters.lambda"]
    assert "bfloat16" in found["dtype"]
    assert "needs a base model" in found["base_model"]


def test_the_message_lists_every_mistake() -> None:
    with pytest.raises(RecipeFileError) as caught:
        read_recipe("merge_method: tise\nmodels: []\nfoo: 1\n")
    text = str(caught.value)
    assert "3 mistakes" in text
    assert all(part in text for part in ("did you mean 'ties'?", "models: an empty list", "foo: unknown key"))


LINEAR = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n"


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        ("", "file", "it holds nothing"),
        ("- a\n", "file", "it holds a list"),
        ("models: [{model: a}]", "merge_method", "it is missing; write one of: arcee_fusion"),
        ("merge_method: [linear]\nmodels: [{model: a}]", "merge_method", "unknown merge method"),
        ("merge_method: delta\nmodels: [{model: a}]", "merge_method", "unknown merge method 'delta'"),
        ("merge_method: linear\n", "models", "there are no models"),
        (LINEAR + "slices: []\n", "models", "models and slices are both there"),
        ("merge_method: linear\nmodels: {a: b}", "models", "a mapping instead of a list"),
        ("merge_method: linear\nmodels: [a]", "models.0", "'a' is no entry"),
        ("merge_method: linear\nmodels: [{parameters: {weight: 1}}]", "models.0.model", "it is missing"),
        ("merge_method: linear\nmodels: [{model: {path: a}}]", "models.0.model", "a mapping is no model"),
        ("merge_method: linear\nmodels: [{model: a+lora}]", "models.0.model", "'lora' is no adapter"),
        ("merge_method: linear\nmodels: [{model: '@'}]", "models.0.model", "is no model reference"),
        ("merge_method: linear\nmodels: [{model: a}]", "models.0.parameters.weight", "a has none; add it"),
        (LINEAR.replace("1", "true"), "models.0.parameters.weight", "true is no number"),
        (LINEAR.replace("1", "[]"), "models.0.parameters.weight", "an empty list"),
        (LINEAR.replace("1", "[0, x]"), "models.0.parameters.weight.1", "'x' is no number"),
        (LINEAR.replace("1", "1" + "0" * 400), "models.0.parameters.weight", "is no number"),
        (
            LINEAR.replace("1", "[{filter: 3, value: 1}]"),
            "models.0.parameters.weight.0.filter",
            "3 is no text",
        ),
        (LINEAR.replace("1", "[{filter: a}]"), "models.0.parameters.weight.0.value", "it is missing"),
        (LINEAR.replace("1", "{valeu: 1}"), "models.0.parameters.weight.valeu", "did you mean 'value'?"),
        (LINEAR.replace("{weight: 1}", "3"), "models.0.parameters", "3 instead of a mapping"),
        (LINEAR + "parameters: {normalize: [0, 0.5]}", "parameters.normalize", "on or off"),
        (LINEAR + "parameters: {t: 1}", "parameters.t", "unknown parameter of linear 't'"),
        (LINEAR + "dtype: [float32]", "dtype", "unknown number format"),
        (
            LINEAR + "base_model: org/b",
            "base_model",
            "is not among its models; list it, or write it as tokenizer",
        ),
        (LINEAR + "tokenizer_source: base", "tokenizer_source", "there is no base_model"),
        (LINEAR + "modules: {}", "modules", "0 modules instead of one"),
        (LINEAR + "modules: [a]", "modules", "a list instead of one module"),
        (LINEAR + "modules: {a: {}, b: {}}", "modules", "2 modules instead of one"),
        (LINEAR + "modules: {a: 3}", "modules.a", "3 is no module"),
        (LINEAR + "modules: {a: {models: []}}", "modules.a.models", "stands outside modules too"),
        ("merge_method: linear\nmodules: {a: {modles: []}}", "modules.a.modles", "did you mean 'models'?"),
        (LINEAR + "tokenizer: union", "tokenizer", "'union' is no mapping"),
        (LINEAR + "tokenizer: {source: null}", "tokenizer.source", "it is empty"),
        (LINEAR + "tokenizer: {tokens: [a]}", "tokenizer.tokens", "a list is no mapping"),
        (LINEAR + "tokenizer: {tokens: {a: b}}", "tokenizer.tokens.a", "is no rule for a token"),
        (LINEAR + "tokenizer: {tokens: {a: {force: true}}}", "tokenizer.tokens.a.source", "is forced on all"),
        (LINEAR + "tokenizer: {tokens: {a: {force: 1}}}", "tokenizer.tokens.a.force", "not on or off"),
        (
            LINEAR + "tokenizer: {tokens: {a: {source: {kind: random}}}}",
            "tokenizer.tokens.a.source.kind",
            "use one of: model_token, zero",
        ),
        (
            LINEAR + "tokenizer: {tokens: {a: {source: {kind: model_token, model: a}}}}",
            "tokenizer.tokens.a.source",
            "there is no token",
        ),
        (LINEAR + "tokenizer: {tokens: {a: {source: b}}}", "tokenizer.tokens.a", "none of the models"),
        (LINEAR + "tokenizer: {source: a, pad_to_multiple_of: 0}", "tokenizer.pad_to_multiple_of", "from 1"),
        (LINEAR + "tokenizer: {source: a}\ntokenizer_source: a", "tokenizer", "keep one of them"),
        (LINEAR + "tokenizer: {source: a, force: 1}", "tokenizer.force", "unknown key"),
        (LINEAR + "tokenizer_source: https://a.test/b", "tokenizer_source", "never fetched"),
        (LINEAR + "untie_embeddings: 3", "untie_embeddings", "true or false"),
        (LINEAR + "chat_template: '{{ x }}'", "chat_template", "is no template"),
        (
            LINEAR + "chat_template: '{% for m in messages %}{{ m'",
            "chat_template",
            "no Jinja template: unexp",
        ),
        (LINEAR + "chat_template: chatlm", "chat_template", "did you mean 'chatml'?"),
        (LINEAR + "chat_template: base", "chat_template", "there is no base_model"),
        ("# evomerge seed: -1\n" + LINEAR, "seed", "'-1' is no seed"),
        ("# evomerge seed: 99999999999999999999999\n" + LINEAR, "seed", "is no seed"),
        (
            "merge_method: slerp\nbase_model: c\nmodels: [{model: a}, {model: b}]\nparameters: {t: 1}",
            "base_model",
            "starts from a parent, not from c",
        ),
        (
            "merge_method: slerp\nbase_model: a\nmodels: [{model: a}]\nparameters: {t: 1}",
            "models",
            "takes exactly 2 parents, got 1",
        ),
        (
            "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]",
            "parameters.t",
            "it is missing",
        ),
        ("merge_method: passthrough\nslices: [3]", "slices.0", "3 is no slice"),
        ("merge_method: passthrough\nslices: [{}]", "slices.0.sources", "it is missing"),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [3, 1]}]}]",
            "slices.0.sources.0.layer_range",
            "hold no layer",
        ),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: 3}]}]",
            "slices.0.sources.0.layer_range",
            "is no range of layers",
        ),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a}, {model: a}]}]",
            "slices.0.sources",
            "takes exactly 1 parent, got 2",
        ),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a}], residual_weight: 1}]",
            "slices.0.residual_weight",
            "unknown key",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_field_and_remedy(text: str, field: str, part: str) -> None:
    found = mistakes(text)
    assert part in found[field], found


@pytest.mark.parametrize("parameter", ["weight", "density"])
def test_a_misspelt_parameter_is_not_also_called_missing(parameter: str) -> None:
    found = mistakes(
        TIES.replace(f"{parameter}: 0.5", f"{parameter}s: 0.5").replace("density: [", "densitys: [")
    )
    assert all("unknown parameter" in text for text in found.values())


def test_a_bare_condition_is_a_list_of_one() -> None:
    recipe = read_recipe(LINEAR.replace("1", "{filter: '*', value: 2}"))
    assert recipe.slices[0].sources[0].parameters["weight"] == (Setting(value=2.0, filter="*"),)


def test_the_base_of_an_average_gives_its_tokenizer() -> None:
    recipe = read_recipe(LINEAR + "base_model: a\n")
    assert recipe.base is None
    assert recipe.tokenizer_owner == Parent(model="a")


def test_a_module_s_models_are_read_as_the_file_s_and_its_parameters_come_first() -> None:
    inner = "{models: [{model: a, parameters: {weight: 1}}, {model: b}], parameters: {weight: %s}}"
    for weight, expected in (
        ("0.3", (Setting(value=0.3), Setting(value=0.7))),
        ("{filter: mlp, value: 0.3}", (Setting(value=0.3, filter="mlp"), Setting(value=0.7))),
    ):
        recipe = read_recipe(
            "merge_method: linear\nparameters: {normalize: false, weight: 0.7}\n"
            f"modules: {{text_decoder: {inner % weight}}}\n"
        )
        assert [source.parent.model for source in recipe.slices[0].sources] == ["a", "b"]
        assert recipe.parameters["weight"] == expected
        assert recipe.parameters["normalize"] == constant(0.0)
    with_slices = read_recipe(
        "merge_method: passthrough\n"
        "modules: {default: {slices: [{sources: [{model: a, layer_range: [0, 2]}]}]}}\n"
    )
    assert with_slices.slices[0].sources[0].layers == (0, 2)
