from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from tests.workers.operations.checkpoints import parent, weights
from tests.workers.operations.golden_tensors import golden
from workers.errors import CheckpointError, MergeError, MismatchError
from workers.operations.embeddings.embedding_transplant import averaged_rows, linear_map, transplanted
from workers.operations.embeddings.embedding_transplant_models import transplant
from workers.operations.embeddings.token_rows import read_token_rows
from workers.protocol.transform_orders import Destination, TransplantOrder

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
OLD = (*SPECIAL, *"abcdefghijkl", "ab", "cd", "<chat>")
NEW = ("<unk>", "</s>", "<s>", "<pad>", *"lkjihgfedcba", "ef", "bc", "gh", "abc")
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def reference() -> dict[str, Tensor]:
    return golden("lep_derived", "inputs", "x")


def test_direct_takes_the_new_rows_as_they_are(reference: dict[str, Tensor]) -> None:
    expected = golden("lep_derived", "expected", "direct")["embed"]
    found = transplanted(reference["I_new_cpt"], None)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-5)


def test_overlap_fits_the_map_on_common_tokens(reference: dict[str, Tensor]) -> None:
    common = reference["common_old_idx"]
    fitted = linear_map(reference["I_base"][common], reference["I_inst"][common])
    expected = golden("lep_derived", "expected", "overlap")["embed"]
    found = transplanted(reference["I_new_cpt"], fitted)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-5)


def test_conversion_averages_the_rows_that_a_new_token_is_made_of(reference: dict[str, Tensor]) -> None:
    matrix = reference["T"]
    pieces = [torch.nonzero(row).reshape(-1).tolist() for row in matrix]
    for name in ("I_base", "I_inst"):
        expected = matrix.double() @ reference[name].double()
        torch.testing.assert_close(averaged_rows(reference[name], pieces), expected, rtol=0, atol=1e-6)
    fitted = linear_map(*(averaged_rows(reference[name], pieces) for name in ("I_base", "I_inst")))
    sides = [matrix.double() @ reference[name].double() for name in ("I_base", "I_inst")]
    torch.testing.assert_close(fitted, torch.linalg.pinv(sides[0]) @ sides[1], rtol=0, atol=1e-5)


def test_a_linear_map_that_there_is_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    source, secret = torch.randn(30, 8, generator=generator), torch.randn(8, 8, generator=generator)
    torch.testing.assert_close(linear_map(source, source @ secret).float(), secret, rtol=1e-4, atol=1e-4)
    few = linear_map(source[:3], (source @ secret)[:3])
    torch.testing.assert_close(
        (source[:3].double() @ few).float(), (source @ secret)[:3], rtol=1e-4, atol=1e-4
    )
    assert torch.equal(linear_map(torch.zeros(4, 3), torch.ones(4, 3)), torch.zeros(3, 3).double())


def test_embeddings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MismatchError, match="have shapes"):
        linear_map(torch.ones(3, 2), torch.ones(2, 2))
    with pytest.raises(MismatchError, match="have shapes"):
        linear_map(torch.ones(0, 2), torch.ones(0, 2))
    with pytest.raises(MergeError, match="NaN"):
        linear_map(torch.full((2, 2), float("nan")), torch.ones(2, 2))


def save(folder: Path, tokens: tuple[str, ...], seed: int, *, tied: bool = False, rows: int = 0) -> Path:
    """Writes a one-layer model whose tokenizer splits text into these tokens, the longest first."""
    config = LlamaConfig(
        vocab_size=rows or len(tokens),
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=tokens.index("<pad>"),
        bos_token_id=tokens.index("<s>"),
        eos_token_id=tokens.index("<chat>") if "<chat>" in tokens else tokens.index("</s>"),
        tie_word_embeddings=tied,
    )
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    merges = [(token[:-1], token[-1]) for token in tokens if token in ("ab", "cd", "ef", "gh", "bc")]
    merges += [("a", "bc")] if "abc" in tokens else []
    vocabulary = {token: row for row, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """A base, an instruct model whose embeddings are the base's mapped linearly, and an adapted base."""
    tied = bool(request.param)
    folders = {
        "base": save(tmp_path / "base", OLD, 0, tied=tied),
        "instruct": save(tmp_path / "instruct", OLD, 1, tied=tied),
        "adapted": save(tmp_path / "adapted", NEW, 2, tied=tied),
    }
    base, instruct = weights(folders["base"]), weights(folders["instruct"])
    for name, secret in secrets().items():
        if name in base:
            instruct[name] = base[name] @ secret
    save_file(instruct, folders["instruct"] / "model.safetensors", {"format": "pt"})
    (folders["instruct"] / "chat_template.jinja").write_text("{{ messages[0].content }}<chat>")
    return folders


def secrets() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {name: torch.randn(8, 8, generator=generator) for name in (EMBED, HEAD)}


def order(family: dict[str, Path], folder: Path, **options: object) -> TransplantOrder:
    given: dict[str, object] = {"base": parent(family["base"])}
    return TransplantOrder(
        parent(family["instruct"]),
        parent(family["adapted"]),
        Destination(str(folder)),
        **(given | options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("method", ["overlap", "conversion"])
def test_new_rows_lie_in_the_instruct_models_space(
    family: dict[str, Path], method: str, tmp_path: Path
) -> None:
    done = transplant(order(family, tmp_path / "out", method=method))
    before, adapted, after = (weights(f) for f in (family["instruct"], family["adapted"], tmp_path / "out"))
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        expected = adapted[name] @ secrets()[name] if name in secrets() else before[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-4)
    results = json.loads(done.report)["results"]
    assert results == {"tokens_lost": 3, "rows_fitted": 20 if method == "conversion" else 16}


def test_the_result_loads_with_the_new_tokenizer_and_speaks(family: dict[str, Path], tmp_path: Path) -> None:
    transplant(order(family, tmp_path / "out", method="direct", base=None))
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer("abc ef", return_tensors="pt", add_special_tokens=False).input_ids
    assert ids.tolist() == [[NEW.index("abc"), NEW.index("ef")]]
    assert model(ids).logits.shape == (1, 2, len(NEW))
    assert torch.equal(model.get_input_embeddings().weight, weights(family["adapted"])[EMBED])


def test_token_ids_are_looked_up_again_and_the_chat_template_is_kept(
    family: dict[str, Path], tmp_path: Path
) -> None:
    transplant(order(family, tmp_path / "out"))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["vocab_size"] == len(NEW)
    assert (config["bos_token_id"], config["pad_token_id"]) == (NEW.index("<s>"), NEW.index("<pad>"))
    assert config["eos_token_id"] == NEW.index("</s>")  # <chat> is lost: the adapted model's own
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation["bos_token_id"] == NEW.index("<s>")
    assert generation["eos_token_id"] == NEW.index("</s>")
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages[0].content }}<chat>"


def test_new_tokens_are_taken_apart_into_old_ones(family: dict[str, Path]) -> None:
    old, new = (read_token_rows(family[name]) for name in ("instruct", "adapted"))
    assert old.pieces_of(new.text_of("bc")) == [OLD.index("b"), OLD.index("c")]
    assert old.pieces_of(new.text_of("abc")) == [OLD.index("ab"), OLD.index("c")]


def test_rows_beyond_the_tokenizer_are_carried_along(tmp_path: Path) -> None:
    folders = {name: save(tmp_path / name, OLD, seed) for seed, name in enumerate(("base", "instruct"))}
    folders["adapted"] = save(tmp_path / "adapted", NEW, 2, rows=32)
    transplant(order(folders, tmp_path / "out"))
    assert weights(tmp_path / "out")[EMBED].shape == (32, 8)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 32


def test_what_cannot_be_transplanted_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folders = {name: save(tmp_path / name, OLD, seed) for seed, name in enumerate(("base", "instruct"))}
    folders["adapted"] = save(tmp_path / "adapted", NEW, 2)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(MergeError, match="overlap needs it"):
        transplant(order(folders, tmp_path / "out", base=None))
    tied = folders | {"instruct": save(tmp_path / "tied", OLD, 3, tied=True)}
    transplant(order(tied, tmp_path / "fine", method="direct"))  # the adapted model's head is left out
    vocabulary = folders["adapted"] / "tokenizer.json"
    content = json.loads(vocabulary.read_text())
    for broken, words in (({"model": {}}, "no vocabulary"), ({"model": {"vocab": {"a": "x"}}}, "the id 'x'")):
        vocabulary.write_text(json.dumps(content | broken | {"added_tokens": []}))
        with pytest.raises(CheckpointError, match=words):
            transplant(order(folders, tmp_path / "out"))
    vocabulary.unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer.json"):
        transplant(order(folders, tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "tied", "fine"])


def test_vocabularies_without_a_common_token_are_refused(tmp_path: Path) -> None:
    folders = {name: save(tmp_path / name, OLD, seed) for seed, name in enumerate(("base", "instruct"))}
    folders["adapted"] = save(tmp_path / "adapted", NEW, 2)
    path = folders["adapted"] / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"] = []
    content["model"]["vocab"] = {f"new{row}": row for row in range(len(NEW))}
    path.write_text(json.dumps(content))
    with pytest.raises(MismatchError, match="share no token"):
        transplant(order(folders, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
