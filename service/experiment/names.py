"""Experiments' names: what people type, and what addresses and folders are made of."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator

from service.experiment.criteria import Name

LONGEST_FOLDER = 180  # bytes; file systems take 255
_UNFIT = re.compile(r"[^\w.-]+")


def addressable(name: str) -> str:
    """Returns a name by which an experiment can be asked for.

    Raises:
        ValueError: It would be taken for a part of an address, for an id, or for nothing.
    """
    if name != name.strip():
        what = "begins or ends with blanks" if name.strip() else "is blank"
        raise ValueError(f"{name!r} {what}; use letters, digits and dashes")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} cannot be part of an address; leave slashes and lone dots out")
    if _is_id(name):
        raise ValueError(f"{name!r} looks like an experiment's id; choose another name")
    return name


ExperimentName = Annotated[Name, AfterValidator(addressable)]


def folder_name(name: str, mark: str) -> str:
    """Returns a folder's name by which people know the experiment.

    What is no letter, digit, dot or dash becomes a dash.  A name that had to be changed ends in `mark`,
    for two names may look alike without their special characters.
    """
    plain = _UNFIT.sub("-", unicodedata.normalize("NFC", name)).strip(".-")
    while len(plain.encode()) > LONGEST_FOLDER:
        plain = plain[:-1]
    return plain if plain == name else f"{plain or 'experiment'}-{mark}"


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
