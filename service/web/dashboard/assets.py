"""The files that pages load: ours, and plotly's script out of the installed plotly package.

Nothing comes from anywhere else.  Every address holds a digest or a version, so browsers keep what they have.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import plotly

PLOTLY = "plotly.min.js"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served: gzipped once, kept in memory."""

    media_type: str
    plain: bytes
    gzipped: bytes


@cache
def names() -> frozenset[str]:
    """Returns the names of all files that may be served; there is no other way to a file."""
    own = (path.name for path in files(__package__).joinpath("static").iterdir())
    return frozenset({name for name in own if _suffix(name) in _TYPES} | {PLOTLY})


@cache
def asset(name: str) -> Asset:
    """Returns one of the files named by `names`."""
    if name == PLOTLY:
        content = files(plotly).joinpath("package_data", PLOTLY).read_bytes()
    else:
        content = files(__package__).joinpath("static", name).read_bytes()
    return Asset(f"{_TYPES[_suffix(name)]}; charset=utf-8", content, gzip.compress(content, 6, mtime=0))


@cache
def version(name: str) -> str:
    """Returns what tells this version of a file from others."""
    if name == PLOTLY:
        return str(plotly.__version__)
    digest = hashlib.sha256()
    for each in sorted(names() - {PLOTLY}):  # modules import each other: they change together
        digest.update(files(__package__).joinpath("static", each).read_bytes())
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """Returns where a page finds a file."""
    return f"/static/{version(name)}/{name}"


def _suffix(name: str) -> str:
    return "." + name.rsplit(".", 1)[-1]
