"""Parent: a reference to an input checkpoint, and how it is written."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

HUB = "hub:"
_REFERENCE = re.compile(r"(?P<name>[^@+]+)(@(?P<revision>[^@+]+))?")
_LOCAL = (".", "/", "~")
_DRIVE = re.compile(r"[A-Za-z]:/")  # C:/models, a path of Windows
_ADAPTER_OF_A_FOLDER = re.compile(r"(?<!\+)\+(?=\.{1,2}/|/|~|[A-Za-z]:/|hub:)")
# Where a path of Windows begins: a drive, a server's share, or a folder here.
_OF_WINDOWS = re.compile(r"(^|(?<=\+))([A-Za-z]:[\\/]|\\\\[^\\]|~\\|\.{1,2}\\)")
# Controls, backslashes, false slashes, and what turns or hides the text beside it.
_NOT_IN_A_NAME = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\\u2044\u2215\u29f8\uff0f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
    r"|%2[eEfF]|%5[cC]"
)
_FORMS = "a folder, org/name, org/name@revision, or model+adapter"


class Parent(BaseModel):
    """An input checkpoint: a local folder or a Hub repository, at a revision, perhaps with an adapter.

    Written as `folder`, `org/name` or `org/name@revision`; a LoRA adapter follows after a plus, as
    `org/name+org/adapter@revision` or `./folder+./adapter`.  A folder's name may itself hold @ and +:
    what follows a plus is an adapter of a folder only where it begins as a path does, or with `hub:`.
    In a path of Windows (one with a drive, or that begins with a dot) backslashes are read as slashes.

    Attributes:
        adapter: The folder or repository of a LoRA adapter that is added to the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=1024)]
    revision: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    adapter: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    adapter_revision: Annotated[str, Field(min_length=1, max_length=256)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        value = _with_slashes(value)
        _check_text(value)
        if is_path(value):
            model, adapter = _split_folder(value)
            return {"model": model} | _adapter(adapter)
        model, plus, adapter = value.partition("+")
        match = _REFERENCE.fullmatch(model)
        if match is None or (plus and not adapter):
            raise ValueError(f"{value!r:.200} is no model reference; write {_FORMS}")
        return {"model": match["name"], "revision": match["revision"]} | _adapter(adapter)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for part in (self.model, self.revision, self.adapter, self.adapter_revision):
            _check_text(part or "")
        if self.adapter_revision is not None and self.adapter is None:
            raise ValueError("adapter_revision is given and there is no adapter; name one, or leave it out")
        return self

    def __eq__(self, other: object) -> bool:
        """Says whether both name one checkpoint; a plan compares the same objects thousands of times."""
        return self is other or (
            isinstance(other, Parent)
            and self.model == other.model
            and self.revision == other.revision
            and self.adapter == other.adapter
            and self.adapter_revision == other.adapter_revision
        )

    def __hash__(self) -> int:
        """Returns the hash of the model's name, which knows its own."""
        return hash(self.model)

    @property
    def without_adapter(self) -> Parent:
        """The model itself."""
        return Parent(model=self.model, revision=self.revision)

    @property
    def adapter_as_parent(self) -> Parent | None:
        """Where the adapter lies, None where there is none."""
        return None if self.adapter is None else Parent(model=self.adapter, revision=self.adapter_revision)

    def is_called(self, name: str) -> bool:
        """Says whether a name means it: its reference, its model's, or the last part of that."""
        return name in (str(self), self.model, self.model.rstrip("/").rpartition("/")[2])

    @model_serializer
    def __str__(self) -> str:
        """Writes the reference as it is read."""
        text = self.model if self.revision is None else f"{self.model}@{self.revision}"
        if self.adapter is None:
            return text
        remote = HUB if is_path(self.model) and not is_path(self.adapter) else ""
        revision = "" if self.adapter_revision is None else f"@{self.adapter_revision}"
        return f"{text}+{remote}{self.adapter}{revision}"


def is_path(text: str) -> bool:
    """Says whether a text begins as a folder's path does, and not as a repository's name."""
    return text.startswith(_LOCAL) or _DRIVE.match(text) is not None


def _with_slashes(text: str) -> str:
    """Returns a reference with slashes, where it is or has a path of Windows."""
    return text.replace("\\", "/") if _OF_WINDOWS.search(text) else text


def _check_text(text: str) -> None:
    """Refuses addresses, and characters that make a name look like another.

    Raises:
        ValueError: It is a URL, or holds a control character, a backslash or a false slash.
    """
    if "://" in text or text.startswith("file:"):
        raise ValueError(f"{text!r:.200} is an address, which is never fetched; write {_FORMS}")
    found = _NOT_IN_A_NAME.search(text)
    if found is not None:
        forms = "slashes, as in ./a/b" if found.group() == "\\" else _FORMS
        raise ValueError(f"{text!r:.200} holds {found.group()!r}, which no model's name has; write {forms}")


def _split_folder(text: str) -> tuple[str, str]:
    """Divides `./folder+./adapter`; only what begins as a path does, or with `hub:`, is an adapter."""
    found = list(_ADAPTER_OF_A_FOLDER.finditer(text))
    if not found:
        return text, ""
    return text[: found[-1].start()], text[found[-1].end() :]


def _adapter(text: str) -> dict[str, str | None]:
    if not text:
        return {}
    text = text.removeprefix(HUB)
    if is_path(text):
        return {"adapter": text}
    match = _REFERENCE.fullmatch(text)
    if match is None or "/" not in match["name"]:
        raise ValueError(f"{text!r:.200} is no adapter; write a folder as ./adapter, or org/adapter")
    return {"adapter": match["name"], "adapter_revision": match["revision"]}
