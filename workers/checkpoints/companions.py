"""Companions: the files beside a checkpoint's weights that a merged model takes over.  Torch-free.

Everything is taken over unless it is known to be wrong beside other weights: a tokenizer, a processor or
a template may have any name, and a file that is missing breaks what loads the model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from workers.checkpoints.tensor_table import check_inside
from workers.errors import CheckpointError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
TEMPLATES_FOLDER = "additional_chat_templates"
LARGEST_TOKENIZER_FILE = 256 * 2**20  # bytes
MOST_FILES = 10_000

WEIGHT_ENDINGS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".hdf5", ".keras", ".msgpack", ".ot"),
    *(".gguf", ".ggml", ".llamafile", ".onnx", ".onnx_data", ".onnx.data", ".ort", ".tflite", ".mlmodel"),
    *(".pdparams", ".pdopt", ".params", ".nemo", ".engine", ".plan", ".trt", ".xmodel", ".index.json"),
)
"""Weights in any format, their indexes, and optimizers' states, which have the same endings."""
CODE_ENDINGS = (
    *(".py", ".pyc", ".pyi", ".ipynb", ".sh", ".bash", ".bat", ".ps1", ".js", ".ts", ".lua", ".rs", ".go"),
    *(".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".cuh", ".so", ".dll", ".dylib", ".exe", ".jar", ".wasm"),
)
PICKLE_ENDINGS = (".pkl", ".pickle", ".joblib", ".dill")
_OF_OTHER_WEIGHTS = re.compile(
    r"""readme.* | model[_-]?card.*                         # what is said of the owner's weights
      | adapter_(config|model)\..* | adapters\..*           # weights to be added to others
      | (hf_)?quant\w*_config.*\.json | .*\.imatrix | imatrix\..* | kv_cache_scales\.json
      | params\.json | weights.*\.npz | openvino_.* | mlc-chat-config\.json | ndarray-cache\.json
      | trainer_state\.json | training_args\..* | trainer_log\..* | training_loss\..* | \w+_results\.json
      | events\.out\.tfevents.* | latest | latest_checkpointed_iteration\.txt
      | mergekit\w*\.ya?ml | evomerge[\w.-]*\.(json|ya?ml|png)  # how the owner was made
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OTHER_FOLDERS = re.compile(
    r"""(checkpoint|global_?step)-?\d+ | runs | wandb | tensorboard | logs | __pycache__
      | original | onnx | openvino | gguf | ggml | coreml | mlx | tflite | metal | exl2  # other formats
    """,
    re.VERBOSE,
)
_LISTING_TOKENS = re.compile(
    r"""(vocab|merges|added_tokens|tekken|spiece|sentencepiece|encoder|source|target|dict|bpe|qwen\.tiktoken)\b.*
      | .*\.(model|spm|tiktoken|bpe|codes)""",
    re.VERBOSE | re.IGNORECASE,
)
NOT_DOWNLOADED = (
    *(f"*{e}" for e in WEIGHT_ENDINGS if e not in (".safetensors", ".index.json")),
    *(f"*{e}" for e in (*CODE_ENDINGS, *PICKLE_ENDINGS)),
    *("runs/*", "wandb/*", "checkpoint-*", "global_step*", "README*"),
)
"""Patterns of what is not fetched from the Hub for a merge: no code, no pickles, no other formats."""
_POINTER = b"version https://git-lfs.github.com/spec/"


def companions_of(folder: Path) -> dict[str, Path]:
    """Returns the files that go with a checkpoint's weights, by their path from its folder with slashes.

    Links are followed inside the folder and, in the Hub's cache, to the model's own blobs.  A sub-folder
    that holds weights is another model, or this one in another format, and stays behind as a whole.

    Raises:
        CheckpointError: A tokenizer's file is too large for what it is or a link out of the folder, a file
            is a Git LFS pointer, or there are more than `MOST_FILES`.
    """
    found: dict[str, Path] = {}
    for name, path in _walk(_Root(folder), folder, PurePosixPath(), frozenset()):
        if len(found) == MOST_FILES:
            raise CheckpointError(
                str(folder), f"holds more than {MOST_FILES} files", "keep the model in a folder of its own"
            )
        _check(path, name)
        found[name] = path
    return dict(sorted(found.items()))


def is_wrong_elsewhere(name: str) -> bool:
    """Says whether a file of this name is known to be wrong beside other weights than its own."""
    lower = name.lower()
    known = lower.endswith((*WEIGHT_ENDINGS, *CODE_ENDINGS, *PICKLE_ENDINGS))
    return known or lower.startswith(".") or _OF_OTHER_WEIGHTS.fullmatch(lower) is not None


def is_of_tokenizer(name: str) -> bool:
    """Says whether a file belongs to the tokenizer, by its path from the checkpoint's folder."""
    return name in TOKENIZER_FILES or lists_tokens(name) or name.startswith(("tokenizer", TEMPLATES_FOLDER))


def lists_tokens(name: str) -> bool:
    """Says whether a file lists one tokenizer's tokens, in whatever format, beside tokenizer.json."""
    return "/" not in name and _LISTING_TOKENS.fullmatch(name) is not None


class _Root:
    """The places that a checkpoint's files may lie in."""

    def __init__(self, folder: Path) -> None:
        own = folder.resolve()
        self.homes = [own]
        if own.parent.name == "snapshots":  # the Hub's cache: snapshots/REVISION/FILE -> blobs/DIGEST
            self.homes.append(own.parent.parent / "blobs")

    def holds(self, path: Path) -> bool:
        """Says whether a path, its links followed, lies in one of them."""
        target = Path(os.path.realpath(path))
        return any(target.is_relative_to(home) for home in self.homes)


def _walk(
    root: _Root, folder: Path, below: PurePosixPath, entered: frozenset[str]
) -> Iterator[tuple[str, Path]]:
    entries = sorted(folder.iterdir())
    if below.parts and any(path.name.lower().endswith(WEIGHT_ENDINGS) for path in entries):
        return
    entered |= {os.path.realpath(folder)}
    for path in entries:
        name = below / path.name
        if path.is_dir():
            wanted = not path.name.startswith(".") and _OTHER_FOLDERS.fullmatch(path.name.lower()) is None
            if wanted and root.holds(path) and os.path.realpath(path) not in entered:
                yield from _walk(root, path, name, entered)
        elif path.is_file() and not is_wrong_elsewhere(path.name) and str(name) != "config.json":
            if str(name) in TOKENIZER_FILES:
                check_inside(path)
            if root.holds(path):
                yield str(name), path


def _check(path: Path, name: str) -> None:
    size = path.stat().st_size
    if name in TOKENIZER_FILES and size > LARGEST_TOKENIZER_FILE:
        raise CheckpointError(
            str(path),
            f"{size} bytes, more than {LARGEST_TOKENIZER_FILE} for a tokenizer's file",
            "download or save the checkpoint again",
        )
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise CheckpointError(
                str(path), "is a Git LFS pointer, not the file itself", "run git lfs pull in that folder"
            )
