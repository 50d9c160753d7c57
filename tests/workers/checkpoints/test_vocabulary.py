"""Parents of different vocabularies: rows are matched by token, and the merged tokenizer is a real one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from tests.tiny_models import WORDS, save_tiny_model
from workers.checkpoints.vocabulary import read_vocabulary
from workers.errors import CheckpointError, MismatchError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TABLES = (EMBEDDINGS, HEAD)


@pytest.fixture
def family(tmp_path: Path) -> dict[str, Path]:
    return {
        name: save_tiny_model(tmp_path / name, seed) for seed, name in enumerate(("base", "left", "right"))
    }


def average(*folders: Path, more: str = "") -> Recipe:
    models = "".join(f"- {{model: {folder}, parameters: {{weight: 1}}}}\n" for folder in folders)
    return read_recipe(f"merge_method: linear\nmodels:\n{models}{more}")


def around(base: Path, *folders: Path, more: str = "") -> Recipe:
    models = "".join(f"- {{model: {folder}, parameters: {{weight: 1}}}}\n" for folder in folders)
    return read_recipe(f"merge_method: task_arithmetic\nbase_model: {base}\nmodels:\n{models}{more}")


def merge(recipe: Recipe, tmp_path: Path) -> Path:
    assert read_recipe(write_recipe(recipe)) == recipe
    return Path(merge_to_disk(ExportOrder(recipe=recipe, folder=str(tmp_path / "merged"))).folder)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tokens: Sequence[str], tables: Mapping[str, Tensor]) -> None:
    """Gives a model these tokens, in order, and these embeddings."""
    tensors = weights(folder) | {name: table.contiguous() for name, table in tables.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    rows = next(iter(tables.values())).shape[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": rows}))
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    save_fast(tokenizer, folder)


def save_fast(tokenizer: Tokenizer, folder: Path) -> None:
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def reorder(folder: Path, order: Sequence[int], more: Sequence[str] = ()) -> dict[str, Tensor]:
    """Puts a model's tokens into another order, and adds some; returns the new tokens' rows by table."""
    old = weights(folder)
    added = {name: torch.randn(len(more), 16) + 3 for name in TABLES}
    tables = {name: torch.cat([old[name][list(order)], added[name]]) for name in TABLES}
    rewrite(folder, [*(WORDS[i] for i in order), *more], tables)
    return added


REVERSED = [*range(4), *reversed(range(4, len(WORDS)))]


def test_the_order_of_a_parents_tokens_does_not_change_what_is_merged(
    family: dict[str, Path], tmp_path: Path
) -> None:
    expected = weights(merge(average(family["left"], family["right"]), tmp_path / "plain"))
    reorder(family["right"], REVERSED)
    recipe = average(family["left"], family["right"], more=f"tokenizer_source: {family['left']}\n")
    found = weights(merge(recipe, tmp_path / "aligned"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_vocabularies_that_differ_are_refused_with_their_number_and_what_to_write(
    family: dict[str, Path], tmp_path: Path
) -> None:
    reorder(family["right"], REVERSED)
    with pytest.raises(MismatchError) as caught:
        merge(average(family["left"], family["right"]), tmp_path)
    assert caught.value.field == str(family["right"])
    assert "28 tokens, such as 'w0', have another id or none" in caught.value.detail
    assert "tokenizer_source: base, union, or a model" in caught.value.remedy
    assert not (tmp_path / "merged").exists()


def test_embeddings_of_unequal_length_are_refused_without_a_policy(
    family: dict[str, Path], tmp_path: Path
) -> None:
    reorder(family["right"], range(len(WORDS)), ["new"])
    with pytest.raises(MismatchError, match="have 33 rows, not 32"):
        merge(average(family["left"], family["right"]), tmp_path)


def test_with_the_bases_tokenizer_what_others_have_beyond_it_is_left_out(
    family: dict[str, Path], tmp_path: Path
) -> None:
    parents = family["left"], family["right"]
    expected = weights(merge(around(family["base"], *parents), tmp_path / "plain"))
    reorder(family["right"], REVERSED, ["new", "newer"])
    recipe = around(family["base"], *parents, more="tokenizer_source: base\n")
    folder = merge(recipe, tmp_path / "aligned")
    found = weights(folder)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == len(WORDS)


def test_a_union_holds_the_first_tokenizer_and_then_what_others_add(
    family: dict[str, Path], tmp_path: Path
) -> None:
    left = reorder(family["left"], range(len(WORDS)), ["both", "lefts"])
    right = reorder(family["right"], REVERSED, ["rights", "both"])
    recipe = around(family["base"], family["left"], family["right"], more="tokenizer_source: union\n")
    folder = merge(recipe, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab() == {t: i for i, t in enumerate((*WORDS, "both", "lefts", "rights"))}
    assert tokenizer("w3 rights both w0")["input_ids"] == [7, 34, 32, 4]
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.vocab_size == 35
    found = weights(folder)
    for name in TABLES:
        # The base lacks them: its rows are the means of the parents that have them.
        both = (left[name][0] + right[name][1]) / 2
        expected = torch.stack([both, left[name][1], right[name][0]])
        # base + (left - base) + (right - base), where a parent that lacks a token takes the others' mean.
        torch.testing.assert_close(found[name][32:], expected, rtol=1e-5, atol=1e-5)


def test_a_token_that_a_parent_lacks_takes_the_bases_row(family: dict[str, Path], tmp_path: Path) -> None:
    base, left = weights(family["base"]), weights(family["left"])
    kept = [i for i in range(len(WORDS)) if i != 10]
    rewrite(family["right"], [WORDS[i] for i in kept], {n: weights(family["right"])[n][kept] for n in TABLES})
    recipe = around(family["base"], family["left"], family["right"], more="tokenizer_source: base\n")
    found = weights(merge(recipe, tmp_path))
    for name in TABLES:
        torch.testing.assert_close(found[name][10], left[name][10], rtol=1e-6, atol=1e-6)
        assert not torch.allclose(found[name][10], base[name][10])


def test_rows_are_padded_to_a_multiple_with_the_mean_of_all(family: dict[str, Path], tmp_path: Path) -> None:
    block = f"tokenizer: {{source: {family['left']}, pad_to_multiple_of: 10}}\n"
    folder = merge(average(family["left"], family["right"], more=block), tmp_path)
    found = weights(folder)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == 40
    for name in TABLES:
        assert found[name].shape == (40, 16)
        means = torch.stack([weights(family[p])[name].mean(0) for p in ("left", "right")]).mean(0)
        torch.testing.assert_close(found[name][32:], means.expand(8, 16), rtol=1e-5, atol=1e-6)
    AutoModelForCausalLM.from_pretrained(folder)


def test_padding_rows_are_merged_where_both_have_them_and_dropped_where_the_owner_has_none(
    family: dict[str, Path], tmp_path: Path
) -> None:
    padded = {name: torch.cat([weights(family["right"])[name], torch.ones(4, 16)]) for name in TABLES}
    rewrite(family["right"], WORDS, padded)
    recipe = average(family["left"], family["right"], more=f"tokenizer_source: {family['left']}\n")
    assert weights(merge(recipe, tmp_path / "short"))[EMBEDDINGS].shape == (32, 16)
    recipe = average(family["left"], family["right"], more=f"tokenizer_source: {family['right']}\n")
    found = weights(merge(recipe, tmp_path / "long"))[EMBEDDINGS]
    torch.testing.assert_close(found[32:], torch.ones(4, 16))


def test_equal_unions_are_equal_files(family: dict[str, Path], tmp_path: Path) -> None:
    reorder(family["left"], range(len(WORDS)), ["b", "a"])
    reorder(family["right"], REVERSED, ["c", "a"])
    recipe = around(family["base"], family["left"], family["right"], more="tokenizer_source: union\n")
    digests = {merge_to_disk(ExportOrder(recipe=recipe, folder=str(tmp_path / name))).digest for name in "xy"}
    assert len(digests) == 1


TEXTS = {
    "left": ["the cat sat on the mat and the dog sat on the log"] * 4,
    "right": ["la gata estaba en la mesa y la perra en la casa"] * 4,
}
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


def byte_pairs(texts: list[str], tail: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    tokenizer.add_special_tokens([f"<|{tail}|>"])
    return tokenizer


def unigrams(texts: list[str], tail: str) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=40, special_tokens=SPECIAL, unk_token="<unk>")
    )
    tokenizer.add_special_tokens([f"<|{tail}|>"])
    return tokenizer


def dress(folder: Path, tokenizer: Tokenizer) -> None:
    """Gives a model another tokenizer, and embeddings of its length."""
    rows = tokenizer.get_vocab_size()
    tables = {name: torch.randn(rows, 16) for name in TABLES}
    rewrite(folder, WORDS, tables)
    for path in folder.glob("*token*"):
        path.unlink()
    save_fast(tokenizer, folder)


@pytest.mark.parametrize("make", [byte_pairs, unigrams])
def test_a_union_of_trained_tokenizers_reads_what_each_of_them_reads(
    make: type, family: dict[str, Path], tmp_path: Path
) -> None:
    own = {name: make(TEXTS[name], name) for name in ("left", "right")}
    for name, tokenizer in own.items():
        dress(family[name], tokenizer)
    folder = merge(average(family["left"], family["right"], more="tokenizer_source: union\n"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = tokenizer.get_vocab()
    assert {token: known[token] for token in own["left"].get_vocab()} == own["left"].get_vocab()
    assert known.keys() == own["left"].get_vocab().keys() | own["right"].get_vocab().keys()
    assert sorted(known.values()) == list(range(len(known)))
    found, left, right = weights(folder), weights(family["left"]), weights(family["right"])
    lefts, rights = own["left"].get_vocab(), own["right"].get_vocab()
    for token, row in known.items():
        having = [(w, v) for w, v in ((left, lefts), (right, rights)) if token in v]
        pair = [w[EMBEDDINGS][v[token]] for w, v in having]
        torch.testing.assert_close(found[EMBEDDINGS][row], torch.stack(pair).mean(0), rtol=1e-5, atol=1e-6)
    for text in ("the dog sat", "la perra en la casa"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert str(tokenizer.decode(ids)).strip() == text
    # New words are made of the tokens that the parent that brought them has for them.
    words = own["right"].encode("la perra en la casa").tokens
    assert tokenizer.tokenize("la perra en la casa") == words
    assert tokenizer("<|right|>", add_special_tokens=False)["input_ids"] == [known["<|right|>"]]
    assert "<|right|>" not in tokenizer.decode([known["<|right|>"]], skip_special_tokens=True)


def test_tokenizers_of_different_kinds_have_no_union(family: dict[str, Path], tmp_path: Path) -> None:
    dress(family["left"], byte_pairs(TEXTS["left"], "left"))
    dress(family["right"], unigrams(TEXTS["right"], "right"))
    with pytest.raises(MismatchError, match=r"Unigram of text, that of .* is BPE of bytes"):
        merge(average(family["left"], family["right"], more="tokenizer_source: union\n"), tmp_path)


def test_a_parent_whose_tokens_are_not_listed_cannot_be_aligned(
    family: dict[str, Path], tmp_path: Path
) -> None:
    reorder(family["left"], range(len(WORDS)), ["new"])
    for path in family["right"].glob("*token*"):
        path.unlink()
    with pytest.raises(MismatchError, match="lists no tokens to match rows by"):
        merge(average(family["left"], family["right"], more="tokenizer_source: union\n"), tmp_path)


@pytest.mark.parametrize(
    "content", ['{"model": {"vocab": {"a": -1}}}', '{"model": {"vocab": {"a": 1e9}}}', "{}"]
)
def test_a_broken_tokenizer_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError):
        read_vocabulary(tmp_path)


def tie(folder: Path) -> None:
    """Takes a model's head away, and says so in its configuration."""
    tensors = weights(folder)
    del tensors[HEAD]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": True}))


def test_a_tied_parent_among_untied_ones_is_named(family: dict[str, Path], tmp_path: Path) -> None:
    tie(family["right"])
    with pytest.raises(MismatchError, match="untie_embeddings: true") as caught:
        merge(average(family["left"], family["right"]), tmp_path)
    assert caught.value.field == str(family["right"])


@pytest.mark.parametrize("first", ["left", "right"])
def test_an_untied_parents_head_is_its_embeddings(
    first: str, family: dict[str, Path], tmp_path: Path
) -> None:
    tie(family["right"])
    second = "left" if first == "right" else "right"
    recipe = average(family[first], family[second], more="untie_embeddings: true\n")
    folder = merge(recipe, tmp_path)
    expected = (weights(family["left"])[HEAD] + weights(family["right"])[EMBEDDINGS]) / 2
    torch.testing.assert_close(weights(folder)[HEAD], expected, rtol=1e-6, atol=1e-6)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


def test_untying_and_aligning_go_together(family: dict[str, Path], tmp_path: Path) -> None:
    reorder(family["right"], REVERSED, ["new"])
    tie(family["right"])
    more = f"untie_embeddings: true\ntokenizer_source: {family['left']}\n"
    found = weights(merge(average(family["left"], family["right"], more=more), tmp_path))
    rows = weights(family["right"])[EMBEDDINGS][[REVERSED.index(i) for i in range(32)]]
    torch.testing.assert_close(found[HEAD], (weights(family["left"])[HEAD] + rows) / 2, rtol=1e-6, atol=1e-6)


def test_the_chat_template_is_the_one_that_is_asked_for(family: dict[str, Path], tmp_path: Path) -> None:
    (family["right"] / "chat_template.jinja").write_text("{{ 'right' }}")
    config = family["left"] / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": "{{ 'left' }}"}))
    talk = [{"role": "user", "content": "w1"}]
    for name, source in (("right", str(family["right"])), ("left", "auto"), ("left", None)):
        more = "" if source is None else f"chat_template: {source}\n"
        folder = merge(
            average(family["left"], family["right"], more=more),
            tmp_path / f"out-{source is None}-{name}-{len(more)}",
        )
        assert AutoTokenizer.from_pretrained(folder).apply_chat_template(talk, tokenize=False) == name
    folder = merge(average(family["base"], family["right"], more="chat_template: auto\n"), tmp_path / "other")
    assert AutoTokenizer.from_pretrained(folder).apply_chat_template(talk, tokenize=False) == "right"
    with pytest.raises(MismatchError, match="has no chat template"):
        merge(average(family["left"], more=f"chat_template: {family['base']}\n"), tmp_path / "none")
    shutil.rmtree(folder)
