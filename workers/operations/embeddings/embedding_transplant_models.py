"""Applies LEP to checkpoints: the instruct model's body, the adapted model's tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from workers.checkpoints.companions import is_of_tokenizer
from workers.checkpoints.inspection import HEADS, is_tied
from workers.checkpoints.layout import Layout, text_config
from workers.checkpoints.tensor_table import read_json
from workers.errors import CheckpointError, MergeError, MismatchError
from workers.operations.blocks import Read
from workers.operations.embeddings.embedding_transplant import averaged_rows, linear_map, transplanted
from workers.operations.embeddings.token_rows import TokenRows, read_token_rows
from workers.operations.rewriting import (
    Report,
    changed_config,
    files_beside,
    open_parent,
    readers,
    stored_as,
    write_result,
)
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import TransplantOrder

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id", "cls_token_id")
TEMPLATE_FILE = "chat_template.jinja"
GENERATION_FILE = "generation_config.json"


def transplant(order: TransplantOrder) -> Transformed:
    """Writes the instruct model with the adapted model's vocabulary.

    The body, and the chat template, are the instruct model's; tokenizer files are the adapted
    model's.  Token ids in the configuration are looked up again by token.

    Raises:
        MismatchError: The models differ in architecture or width, or share too few tokens.
        CheckpointError: A model or tokenizer is missing or broken.
        MergeError: The base is not given where the method needs it.
        ExportError: The folder cannot be written.
    """
    if order.base is None and order.method != "direct":
        raise MergeError("base", f"is not given, {order.method} needs it", "name the base, or use direct")
    instruct, adapted = open_parent(order.instruct), open_parent(order.adapted)
    base = open_parent(order.base) if order.base is not None and order.method != "direct" else None
    _check_family(instruct, [adapted, *([base] if base is not None else [])])
    names = _token_tensors(instruct)
    words = {layout.parent: read_token_rows(layout.folder) for layout in (instruct, adapted)}
    old, new = words[instruct.parent], words[adapted.parent]
    lost = sorted(token for token in old.rows if token not in new.rows)
    report = Report("embedding transplant", _settings(order), {"tokens_lost": len(lost)})
    count = adapted.tensors[_same_role(names[0], adapted)].shape[0]
    opened = [instruct, adapted, *([base] if base is not None else [])]
    with readers(*opened) as reads:
        graft = _Graft(
            order.method, old, new, dict(zip(("instruct", "adapted", "base"), reads, strict=False))
        )
        roles = {"instruct": instruct, "adapted": adapted, **({"base": base} if base is not None else {})}

        def tensors() -> Iterator[tuple[str, Tensor]]:
            for name in instruct.tensors:
                original = reads[0](name)
                if name in names:
                    mine = {role: _same_role(name, layout) for role, layout in roles.items()}
                    original = graft.rows(mine).to(original.dtype)
                yield name, original
            report.results["rows_fitted"] = graft.fitted

        shapes = {name: (count, *instruct.tensors[name].shape[1:]) for name in names}
        return write_result(
            order.destination,
            _config(instruct, adapted, old, new, count),
            stored_as(instruct, shapes),
            tensors(),
            report=report,
            owner=instruct,
            copied=_files(instruct, adapted),
            texts=_texts(instruct, adapted, old, new),
        )


@dataclass(slots=True)
class _Graft:
    """Computes new rows; a map is fitted for embeddings and head each."""

    method: str
    old: TokenRows
    new: TokenRows
    reads: Mapping[str, Read]
    fitted: int = 0

    def rows(self, names: Mapping[str, str]) -> Tensor:
        """Returns the new rows of one tensor, float64, given its name in each model."""
        adapted = self.reads["adapted"](names["adapted"])
        if adapted.dim() == 1 or self.method == "direct":  # a bias per token has no direction to map
            return transplanted(adapted, None)
        base, instruct = (self.reads[role](names[role]) for role in ("base", "instruct"))
        pieces = self._pieces(min(len(base), len(instruct)))
        self.fitted = len(pieces)
        transform = linear_map(averaged_rows(base, pieces), averaged_rows(instruct, pieces))
        return transplanted(adapted, transform)

    def _pieces(self, count: int) -> list[list[int]]:
        """Returns the old rows that stand for each new token: itself, or the tokens of its text."""
        found = []
        for token in sorted(self.new.rows, key=self.new.rows.__getitem__):
            if token in self.old.rows:
                piece = [self.old.rows[token]]
            elif self.method == "conversion":
                piece = self.old.pieces_of(self.new.text_of(token))
            else:
                continue
            if piece and max(piece) < count:
                found.append(piece)
        if not found:
            raise MismatchError("vocabularies", "share no token", "use the method direct")
        return found


def _check_family(instruct: Layout, others: list[Layout]) -> None:
    for other in others:
        if other.architecture != instruct.architecture:
            detail = f"is a {other.architecture}, {instruct.parent} is a {instruct.architecture}"
            raise MismatchError(str(other.parent), detail, "use models of one family")
        for name in _token_tensors(instruct):
            theirs = other.tensors[_same_role(name, other)].shape
            mine = instruct.tensors[name].shape
            if theirs[1:] != mine[1:]:
                detail = (
                    f"{name!r} has rows of shape {list(theirs[1:])}, in {instruct.parent} {list(mine[1:])}"
                )
                raise MismatchError(str(other.parent), detail, "use models of one width")


def _token_tensors(layout: Layout) -> list[str]:
    """Returns the tensors outside the layers that have one row per token, embeddings first."""
    count = text_config(layout).get("vocab_size")
    found = [
        name
        for name, entry in layout.tensors.items()
        if layout.layer_of(name) is None and entry.shape[:1] == (count,)
    ]
    heads = [name for name in found if name.endswith((*HEADS, "lm_head.bias"))]
    embeddings = [name for name in found if name not in heads]
    if len(embeddings) != 1:
        detail = f"has {embeddings or 'no tensors'} with a row for each of {count} tokens, not one"
        raise CheckpointError(str(layout.parent), detail, "correct vocab_size in config.json")
    return embeddings + heads


def _same_role(name: str, layout: Layout) -> str:
    """Returns a tensor's name in another model; a tied model's head is its embeddings."""
    if name in layout.tensors:
        return name
    if name.endswith(HEADS) and is_tied(layout):
        return _token_tensors(layout)[0]
    raise MismatchError(str(layout.parent), f"has no tensor {name!r}", "use models of one family")


def _config(instruct: Layout, adapted: Layout, old: TokenRows, new: TokenRows, count: int) -> dict[str, Any]:
    ids = _new_ids(text_config(instruct), text_config(adapted), old, new)
    return changed_config(instruct, vocab_size=count, **ids)


def _new_ids(
    instruct: Mapping[str, Any], adapted: Mapping[str, Any], old: TokenRows, new: TokenRows
) -> dict[str, Any]:
    """Returns the special tokens' new ids: by token, or the adapted model's where it lacks the token."""
    tokens = {row: token for token, row in old.rows.items()}
    found: dict[str, Any] = {}
    for key in TOKEN_IDS:
        if instruct.get(key) is None:
            continue
        ids = instruct[key] if isinstance(instruct[key], list) else [instruct[key]]
        kept = [new.rows[tokens[row]] for row in ids if row in tokens and tokens[row] in new.rows]
        if not kept:
            found[key] = adapted.get(key)
        else:
            found[key] = kept if isinstance(instruct[key], list) else kept[0]
    return found


def _files(instruct: Layout, adapted: Layout) -> dict[str, Path]:
    """Returns the adapted model's tokenizer, and what else goes with the instruct model's body."""
    tokens = {name: path for name, path in files_beside(adapted).items() if is_of_tokenizer(name)}
    others = {name: path for name, path in files_beside(instruct).items() if not is_of_tokenizer(name)}
    return {name: path for name, path in (others | tokens).items() if name != TEMPLATE_FILE}


def _texts(instruct: Layout, adapted: Layout, old: TokenRows, new: TokenRows) -> dict[str, str]:
    """Returns the instruct model's chat template and generation settings, with ids looked up again."""
    texts = {}
    template = _chat_template(instruct) or _chat_template(adapted)
    if template is not None:
        texts[TEMPLATE_FILE] = template
    if (instruct.folder / GENERATION_FILE).is_file():
        settings = read_json(instruct.folder / GENERATION_FILE)
        settings |= _new_ids(settings, text_config(adapted), old, new)
        texts[GENERATION_FILE] = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    return texts


def _chat_template(layout: Layout) -> str | None:
    path = layout.folder / TEMPLATE_FILE
    if path.is_file():
        return path.read_text(encoding="utf-8")
    path = Path(layout.folder / "tokenizer_config.json")
    template = read_json(path).get("chat_template") if path.is_file() else None
    return template if isinstance(template, str) else None


def _settings(order: TransplantOrder) -> dict[str, object]:
    return {
        "instruct": str(order.instruct),
        "adapted": str(order.adapted),
        "base": None if order.base is None else str(order.base),
        "method": order.method,
    }
