"""Which tokenizer and chat template go into a merged model's folder.  Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import Parent, Recipe
from workers.checkpoints.companions import TEMPLATES_FOLDER, companions_of, lists_tokens
from workers.checkpoints.layout import Layout
from workers.checkpoints.tensor_table import read_json
from workers.checkpoints.vocabulary import TOKENIZER_FILE, read_vocabulary
from workers.errors import MismatchError
from workers.tokenizers.alignment import Alignment
from workers.tokenizers.union import union_tokenizer

CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
_OLD_TEMPLATE_FILE = "chat_template.json"
_LARGEST_TEMPLATE = 2**20  # bytes


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What stands in for files of the tokenizer's owner.

    Attributes:
        texts: Path from the folder, with slashes -> content.
        left_out: The owner's files that must not be copied, likewise.
    """

    texts: Mapping[str, str]
    left_out: frozenset[str] = frozenset()

    def kept_of(self, files: Mapping[str, Path]) -> dict[str, Path]:
        """Returns those of the owner's files that are copied."""
        return {name: path for name, path in files.items() if name not in self.left_out}


def tokenizer_files_for(
    recipe: Recipe, layouts: Mapping[Parent, Layout], alignment: Alignment | None
) -> TokenizerFiles:
    """Returns what differs from the files of the recipe's tokenizer owner.

    Raises:
        MismatchError: The tokenizers have no union, or the chat template's owner has none.
    """
    owner = layouts[recipe.tokenizer_owner].folder
    texts: dict[str, str] = {}
    left_out: set[str] = set()
    config = _config(owner)
    union = _extended(recipe, layouts, alignment)
    if union is not None:
        texts[TOKENIZER_FILE] = _text(union)
        # They list one parent's tokens, and would contradict a union.
        left_out |= {name for name in companions_of(owner) if lists_tokens(name)}
        if "added_tokens_decoder" in config:
            config["added_tokens_decoder"] = _decoder(union)
            texts[CONFIG_FILE] = _text(config)
    template = _chosen_template(recipe, layouts)
    if template is not None:
        texts |= template
        left_out |= {_OLD_TEMPLATE_FILE, *_additional(owner)}
        if config.pop("chat_template", None) is not None:
            texts[CONFIG_FILE] = _text(config)
    return TokenizerFiles(texts, frozenset(left_out | texts.keys()))


def _extended(
    recipe: Recipe, layouts: Mapping[Parent, Layout], alignment: Alignment | None
) -> dict[str, Any] | None:
    """Returns the tokenizer.json with what joins the owner's tokens; None where nothing does."""
    if alignment is None:
        return None
    owner, others = layouts[recipe.tokenizer_owner].folder, list[Path]()
    if recipe.vocabulary == "union":
        others = [layouts[p].folder for p in recipe.all_parents if layouts[p].folder != owner]
    elif all(rule.token in _ids(owner) for rule in recipe.tokens):
        return None
    return union_tokenizer(owner, others, alignment.ids, added=[rule.token for rule in recipe.tokens])


def _ids(folder: Path) -> Mapping[str, int]:
    vocabulary = read_vocabulary(folder)
    return {} if vocabulary is None else vocabulary.ids


def chat_template_of(folder: Path) -> str | None:
    """Returns the chat template of the tokenizer in a folder, None where it has none."""
    path = folder / TEMPLATE_FILE
    if path.is_file() and path.stat().st_size <= _LARGEST_TEMPLATE:
        return path.read_text(encoding="utf-8")
    for name in (CONFIG_FILE, _OLD_TEMPLATE_FILE):
        found = read_json(folder / name).get("chat_template") if (folder / name).is_file() else None
        if isinstance(found, list):  # several, by name
            named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
            found = named.get("default")
        if isinstance(found, str):
            return found
    return None


def replaced_template(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> str | None:
    """Returns the chat template that stands in for that of the tokenizer's owner, None where that stays.

    Raises:
        MismatchError: The model that is to give it has none.
    """
    found = _chosen_template(recipe, layouts)
    return None if found is None else found[TEMPLATE_FILE]


def _chosen_template(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> dict[str, str] | None:
    """Returns the templates that replace the owner's, by path, None where those stay."""
    wanted = recipe.chat_template
    if recipe.chat_template_text is not None:
        return {TEMPLATE_FILE: recipe.chat_template_text}
    if wanted is None or wanted == recipe.tokenizer_owner:
        return None
    if isinstance(wanted, Parent):
        found = _templates(layouts[wanted].folder)
        if found is None:
            raise MismatchError(
                str(wanted), "has no chat template", "name a model that has one, or leave chat_template out"
            )
        return found
    return _most_common(recipe, layouts)


def _most_common(recipe: Recipe, layouts: Mapping[Parent, Layout]) -> dict[str, str] | None:
    """Returns the templates of the first merged model with the template that most have, by path.

    None where it is the owner's.
    """
    own = (chat_template_of(layouts[recipe.tokenizer_owner].folder) or "").strip()
    owners: dict[str, list[Path]] = {own: []}  # the first of those that are equally common is taken
    for parent in recipe.merged_parents:
        folder = layouts[parent].folder
        owners.setdefault((chat_template_of(folder) or "").strip(), []).append(folder)
    owners.pop("", None)
    chosen = max(owners, key=lambda template: len(owners[template]), default=own)
    return None if chosen == own else _templates(owners[chosen][0])


def _templates(folder: Path) -> dict[str, str] | None:
    """Returns a model's chat template and those beside it (`tool_use`), by path; None without the first."""
    template = chat_template_of(folder)
    if template is None:
        return None
    return {TEMPLATE_FILE: template} | {
        name: path.read_text(encoding="utf-8") for name, path in _additional(folder).items()
    }


def _additional(folder: Path) -> dict[str, Path]:
    start = f"{TEMPLATES_FOLDER}/"
    return {name: path for name, path in companions_of(folder).items() if name.startswith(start)}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    return dict(read_json(path)) if path.is_file() else {}


def _decoder(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the added tokens as tokenizer_config.json lists them."""
    return {
        str(item["id"]): {key: value for key, value in item.items() if key != "id"}
        for item in tokenizer["added_tokens"]
    }


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
