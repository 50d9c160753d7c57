"""Reads YAML from unknown authors: plain data only, nothing twice, nothing that grows when it is read."""

from __future__ import annotations

import re
from typing import Any

import yaml

from search_spaces.errors import RecipeError, RecipeFileError, SpaceError

LARGEST_TEXT = 256 * 1024  # bytes
DEEPEST = 20

# YAML 1.1 takes 1e-5 for a word, because it has no point.
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_FLOAT = "tag:yaml.org,2002:float"
# And 012 for 10, 1:30 for 90, 1_0 for 10: numbers here are those of YAML 1.2, all else are words.
_OF_1_2 = {
    "tag:yaml.org,2002:int": re.compile(r"([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$"),
    _FLOAT: re.compile(
        r"([-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
}


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, and with the numbers of YAML 1.2."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Builds one node.

        Raises:
            RecipeFileError: It is or has an alias, or lies too deep.
        """
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            where = _line(event.start_mark)
            detail = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor} is an alias"
            raise RecipeFileError([RecipeError(where, detail, "write the value out where it is used")])
        if self.depth >= DEEPEST:
            detail = f"lists and mappings are nested more than {DEEPEST} deep"
            raise RecipeFileError([RecipeError(_line(event.start_mark), detail, "flatten them")])
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes words that `Loader` takes for numbers."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, _OF_1_2.get(tag, pattern)) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in (Loader, Dumper):
    _kind.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def load_yaml(text: str) -> Any:  # noqa: ANN401 - YAML holds anything
    """Returns the data in a text.

    Raises:
        RecipeFileError: It is too long, no YAML, uses aliases or tags, or has a key twice.
    """
    size = len(text.encode(errors="replace"))
    if size > LARGEST_TEXT:
        raise _refusal("file", f"{size} bytes", f"a recipe has at most {LARGEST_TEXT}")
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if twice := _repeated_keys(node):
                raise RecipeFileError(twice)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        detail = str(error.problem or error.context or "no YAML")
        raise _refusal(_line(error.problem_mark), detail, "write plain YAML") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, SpaceError):
            raise
        raise _refusal("file", str(error).splitlines()[0], "write plain YAML") from error


def _refusal(field: str, detail: str, remedy: str) -> RecipeFileError:
    return RecipeFileError([RecipeError(field, detail, remedy)])


def _line(mark: yaml.Mark | None) -> str:
    return "file" if mark is None else f"line {mark.line + 1}"


def _repeated_keys(root: yaml.Node) -> list[SpaceError]:
    """Finds mappings that have a key twice; YAML forbids it and PyYAML keeps the last."""
    problems: list[SpaceError] = []
    waiting: list[tuple[str, yaml.Node]] = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += [(f"{path}{i}.", child) for i, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, child in node.value:
                name = str(key.value)
                if name in seen:
                    detail = f"stands there twice, in lines {seen[name]} and {key.start_mark.line + 1}"
                    problems.append(RecipeError(f"{path}{name}", detail, "keep one of the two"))
                seen[name] = key.start_mark.line + 1
                waiting.append((f"{path}{name}.", child))
    return problems
