from __future__ import annotations

import json
from pathlib import Path

import pytest

from search_spaces import Recipe
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at
from workers.checkpoints.companions import companions_of
from workers.errors import CheckpointError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

TAKEN = (
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
    *("spiece.model", "sentencepiece.bpe.model", "tekken.json", "qwen.tiktoken", "custom.words", "LICENSE"),
    *("additional_chat_templates/tool_use.jinja", "1_Pooling/config.json", "voices/en.json"),
)
LEFT = (
    *("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.gguf", "consolidated.00.pth"),
    *("pytorch_model.bin.index.json", "optimizer.pt", "trainer_state.json", "training_args.bin"),
    *("README.md", "README_zh.md", ".gitattributes", "modeling_llama.py", "adapter_config.json"),
    *("quantize_config.json", "hf_quant_config.json", "params.json", "evomerge.json", "mergekit_config.yml"),
    *(".cache/huggingface/download/config.json.metadata", "checkpoint-500/trainer_state.json"),
    *("onnx/config.json", "text_encoder/model.safetensors", "text_encoder/config.json"),
)


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    """A model with everything beside its weights that published ones have."""
    folder = save_tiny_model(tmp_path / "owner", 1)
    for name in (*TAKEN, *LEFT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"name": "{name}"}}')
    return folder


def merged(owner: Path, other: Path, out: Path, **changes: object) -> Path:
    recipe = linear_recipe([owner, other], (0.5, 0.5))
    recipe = Recipe.model_validate(recipe.model_dump() | changes)
    return Path(merge_to_disk(ExportOrder(recipe, str(out), card="# Mine")).folder)


def test_all_that_goes_with_the_weights_is_taken_over_and_nothing_that_is_wrong_beside_others(
    owner: Path, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    out = merged(owner, tiny_parents["left"], tmp_path / "out")
    for name in TAKEN:
        assert (out / name).read_bytes() == (owner / name).read_bytes()
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written & set(LEFT) == {"README.md", "mergekit_config.yml"}
    assert (out / "README.md").read_text() == "# Mine"


def test_links_are_followed_as_the_hubs_cache_lays_them_and_not_out_of_it(tmp_path: Path) -> None:
    cache = tmp_path / "models--lab--base"
    snapshot, blobs = cache / "snapshots" / "abc", cache / "blobs"
    (snapshot / "additional_chat_templates").mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1").write_text("{}")
    (blobs / "2").write_text("T")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.json").write_text("{}")
    (snapshot / "processor_config.json").symlink_to("../../blobs/1")
    (snapshot / "additional_chat_templates" / "tool.jinja").symlink_to("../../../blobs/2")
    (snapshot / "stolen.json").symlink_to(tmp_path / "secret")
    (snapshot / "folder").symlink_to(tmp_path / "elsewhere")
    (snapshot / "loop").symlink_to(".")
    (snapshot / "gone.json").symlink_to("nowhere")
    assert list(companions_of(snapshot)) == ["additional_chat_templates/tool.jinja", "processor_config.json"]


def test_a_tokenizer_that_is_a_link_out_of_the_folder_is_refused(owner: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (owner / "tokenizer.json").unlink()
    (owner / "tokenizer.json").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match="outside its folder"):
        companions_of(owner)


def test_a_pointer_in_place_of_a_file_is_refused(owner: Path) -> None:
    (owner / "spiece.model").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match="LFS pointer"):
        companions_of(owner)


def test_another_parents_chat_template_brings_the_templates_beside_it(
    owner: Path, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "other", 2)
    (other / "chat_template.jinja").write_text("other")
    (other / "additional_chat_templates").mkdir()
    (other / "additional_chat_templates" / "rag.jinja").write_text("other's rag")
    (owner / "chat_template.jinja").write_text("own")
    out = merged(owner, other, tmp_path / "out", chat_template=parent_at(other))
    assert (out / "chat_template.jinja").read_text() == "other"
    names = {path.name for path in (out / "additional_chat_templates").iterdir()}
    assert names == {"rag.jinja"}


def test_files_that_list_one_parents_tokens_stay_behind_where_the_vocabulary_is_a_union(
    owner: Path, tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "other", 2)
    content = json.loads((other / "tokenizer.json").read_text())
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 32, "content": "<new>"})
    (other / "tokenizer.json").write_text(json.dumps(content))
    out = merged(owner, other, tmp_path / "out", vocabulary="union")
    written = {path.name for path in out.iterdir()}
    assert "processor_config.json" in written
    assert not written & {"spiece.model", "sentencepiece.bpe.model", "tekken.json", "qwen.tiktoken"}
