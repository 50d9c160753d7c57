"""Writes the table of all merge methods into docs/methods.md, from their declarations.

Run as `python scripts/write_method_table.py`; with `--check` it writes nothing and exits with 1 where
the table is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from search_spaces.catalogue.methods import METHODS, Method, MethodParameter

DOCUMENT = Path(__file__).parent.parent / "docs" / "methods.md"
BEGIN = "<!-- The table below is written by scripts/write_method_table.py -->"
END = "<!-- end of the table -->"
HEADER = ("method", "what it is", "from", "parents", "base", "per parent", "shared")


def updated(text: str) -> str:
    """Returns the document with the table of today between its two marks.

    Raises:
        ValueError: A mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} lacks one of its marks; put back {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{method_table()}\n\n{END}{after}"


def method_table() -> str:
    """Returns one line per method, in the order of the declarations."""
    lines = [HEADER, ("---",) * len(HEADER), *(_line(method) for method in METHODS.values())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _line(method: Method) -> tuple[str, ...]:
    title = method.title + (f" (experimental: {method.experimental})" if method.experimental else "")
    needs = "".join(f"; records of {kind}" for kind in method.records)
    return (
        f"`{method.name}`",
        title,
        method.paper,
        _parents(method) + needs,
        _base(method),
        _parameters(method, "parent"),
        _parameters(method, "shared"),
    )


def _parents(method: Method) -> str:
    fewest, most = method.fewest_parents, method.most_parents
    if most is None:
        return f"{fewest} or more"
    return str(most) if most == fewest else f"{fewest} to {most}"


def _base(method: Method) -> str:
    if method.base_is_a_parent:
        return "one of the parents"
    return "yes" if method.needs_base else "if given" if method.takes_base else "no"


def _parameters(method: Method, scope: str) -> str:
    found = [_parameter(parameter) for parameter in method.parameters if parameter.scope == scope]
    return ", ".join(found)


def _parameter(parameter: MethodParameter) -> str:
    if parameter.kind == "choice":
        first, *others = parameter.choices
        return f"`{parameter.name}` (**{first}**, {', '.join(others)})"
    if parameter.default is None:
        return f"`{parameter.name}`"
    if parameter.kind == "switch":
        return f"`{parameter.name}` = {'true' if parameter.default else 'false'}"
    return f"`{parameter.name}` = {parameter.default:g}"


def main() -> int:
    """Writes the table, or says whether it is out of date."""
    text = DOCUMENT.read_text(encoding="utf-8")
    today = updated(text)
    if "--check" in sys.argv[1:]:
        if today != text:
            sys.stderr.write(f"{DOCUMENT} is out of date; run python {Path(__file__).name}\n")
        return int(today != text)
    DOCUMENT.write_text(today, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
