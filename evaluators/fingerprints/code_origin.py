"""Where code comes from: Python itself, an installed distribution, or files that are somebody's own.

Installed code is known by its distribution's version and the text of its file; own code has no version
and must be looked at (see `evaluators.fingerprints.values`).
"""

from __future__ import annotations

import hashlib
import site
import sys
import sysconfig
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_ENGINE = ("evomerge", "lm_eval", "torch", "transformers")
_LM_EVAL_TASKS = "/lm_eval/tasks/"
"""Task files are edited in place more often than any other installed code: they count as own code."""


def origin_of(module: str, file: str | None) -> str | None:
    """Returns a name for the code of a module that never changes unless the code does; None for own code.

    Args:
        module: The module's full name.
        file: Where its source lies; None where it has no file.
    """
    if file is None:
        return _python() if _is_pythons(module) else None
    path = Path(file)
    if _LM_EVAL_TASKS in path.as_posix():
        return None
    if any(root in path.parents for root in _installed_roots()):
        return f"{module} {_version_of(module.partition('.')[0])} {_text_hash(path)}"
    if any(root in path.parents for root in _python_roots()):
        return f"{_python()} {module}"
    return None


def origin_of_module(module: ModuleType) -> str | None:
    """Returns a module's `origin_of`."""
    return origin_of(module.__name__, getattr(module, "__file__", None))


def origin_by_name(module: str) -> str | None:
    """Returns the origin of a module that need not be imported yet: of the package it belongs to.

    Raises:
        ImportError: There is no such module.
    """
    package = module.partition(".")[0]
    if _is_pythons(package):
        return _python()
    known = sys.modules.get(package)
    if known is not None:
        return origin_of_module(known)
    spec = find_spec(package)
    if spec is None:
        raise ImportError(f"there is no module {package}")
    return origin_of(package, spec.origin)


def version_of(name: str) -> str:
    """Returns the version of an installed distribution; `none` where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:  # a source tree that was never installed, for one
        return "none"


@cache
def engine_version() -> str:
    """Returns the versions of everything that an answer depends on besides weights and words."""
    return " ".join(f"{name}={version_of(name)}" for name in _ENGINE)


def text_hash(file: str) -> str:
    """Returns the hash of a source file's text as it is now."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


@cache
def _text_hash(path: Path) -> str:
    """Returns the hash of an installed source file; compiled modules are known by their version alone."""
    return text_hash(str(path)) if path.suffix == ".py" and path.is_file() else ""


@cache
def _version_of(package: str) -> str:
    distributions = packages_distributions().get(package, [package])
    return " ".join(f"{name}={version_of(name)} {_content_of(name)}" for name in sorted(set(distributions)))


def _content_of(name: str) -> str:
    """Returns the hash of a distribution's sources as installed: versions are not always counted up."""
    try:
        record = distribution(name).read_text("RECORD") or ""
    except PackageNotFoundError:
        return ""
    sources = sorted(line for line in record.splitlines() if ".py," in line)
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()


def _is_pythons(module: str) -> bool:
    package = module.partition(".")[0]
    return package in sys.stdlib_module_names and package != "__main__"


def _python() -> str:
    return "python=" + ".".join(map(str, sys.version_info[:3]))


@cache
def _installed_roots() -> tuple[Path, ...]:
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return tuple(Path(path) for path in (*paths, site.getusersitepackages()))


@cache
def _python_roots() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
