"""Reads YAML from unknown authors: plain data only, nothing twice, nothing that grows when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from search_spaces.errors import RecipeError, RecipeFileError, SpaceError

LARGEST_TEXT = 256 * 1024  # bytes
DEEPEST = 20
MOST_VALUES = 200_000  # after aliases are written out; a text of LARGEST_TEXT bytes has fewer without them

# YAML 1.1 takes 1e-5 for a word, because it has no point.
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_FLOAT = "tag:yaml.org,2002:float"
_MERGE = "tag:yaml.org,2002:merge"
# And 012 for 10, 1:30 for 90, 1_0 for 10: numbers here are those of YAML 1.2, all else are words.
_OF_1_2 = {
    "tag:yaml.org,2002:int": re.compile(r"([-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$"),
    _FLOAT: re.compile(
        r"([-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a text.

    Attributes:
        lines: Dotted path -> the line, from 1, in which it begins; "" is the document itself, where the
            text has several.
        repeated: A problem for every key that a mapping has twice; the last one stands in `content`.
        comments: The lines of comments above it.
    """

    content: Any
    lines: Mapping[str, int]
    repeated: tuple[SpaceError, ...] = ()
    comments: tuple[str, ...] = ()
    begin: int = 1


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2, and aliases only as far as they stay small."""

    depth = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open: list[str | None] = []  # the anchors of what is being composed
        self._aliases: list[yaml.AliasEvent] = []

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Builds one node.

        Raises:
            RecipeFileError: It lies too deep, or is an alias of nothing or of what it stands in.
        """
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self._check_alias(event)
            self._aliases.append(event)
        elif self.depth >= DEEPEST:
            raise _too_deep(event.start_mark)
        self.depth += 1
        self._open.append(None if isinstance(event, yaml.AliasEvent) else event.anchor)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._open.pop()
        self.depth -= 1
        return node

    def compose_document(self) -> yaml.Node | None:
        """Builds one document's nodes.

        Raises:
            RecipeFileError: Its aliases, written out, make it too large or too deep.
        """
        self._aliases.clear()
        node: yaml.Node | None = super().compose_document()
        if node is not None and self._aliases:
            size, height = _extent(node, {})
            last = self._aliases[-1]
            if size > MOST_VALUES:
                detail = f"*{last.anchor} is an alias, with which the text grows to over {MOST_VALUES} values"
                remedy = "write out less of it"
                raise RecipeFileError([RecipeError(_line(last.start_mark), detail, remedy)])
            if height > DEEPEST:
                raise _too_deep(last.start_mark)
        return node

    def _check_alias(self, event: yaml.AliasEvent) -> None:
        of = "nothing" if event.anchor not in self.anchors else "what it stands in"
        if event.anchor not in self.anchors or event.anchor in self._open:
            detail = f"*{event.anchor} is an alias of {of}"
            remedy = f"write &{event.anchor} before an earlier value, or write the value out"
            raise RecipeFileError([RecipeError(_line(event.start_mark), detail, remedy)])


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
        RecipeFileError: It is too long, no YAML, several documents, uses tags, grows or has a key twice.
    """
    found = load_document(text)
    if found.repeated:
        raise RecipeFileError(found.repeated)
    return found.content


def load_document(text: str) -> Document:
    """Returns the one document in a text; a key that stands there twice is no error.

    Raises:
        RecipeFileError: It is too long, no YAML, several documents, uses tags, or its aliases grow.
    """
    found = _documents(text, several=False)
    return found[0] if found else Document(None, {})


def is_number(text: str) -> bool:
    """Says whether a text is written as numbers are here: not 012 or 1:30."""
    return any(pattern.match(text) for pattern in (*_OF_1_2.values(), _EXPONENT))


def load_documents(text: str) -> list[Document]:
    """Returns the documents in a text, without empty ones; a key that stands there twice is no error.

    Raises:
        RecipeFileError: It is too long, no YAML, uses tags, or its aliases grow.
    """
    return [document for document in _documents(text, several=True) if document.content is not None]


def _documents(text: str, *, several: bool) -> list[Document]:
    size = len(text.encode(errors="replace"))
    if size > LARGEST_TEXT:
        raise _refusal("file", f"{size} bytes", f"a recipe has at most {LARGEST_TEXT}")
    try:
        loader = Loader(text)
        try:
            written = text.splitlines()
            found = [_document(loader, node, written) for node in _nodes(loader, several=several)]
            return [_told_apart(each) for each in found] if len(found) > 1 else found
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        detail = str(error.problem or error.context or "no YAML")
        remedy = "write plain YAML"
        if "unknown escape" in detail:
            remedy = "a backslash in double quotes begins an escape: use single quotes, or / in paths"
        raise _refusal(_line(error.problem_mark), detail, remedy) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, SpaceError):
            raise
        raise _refusal("file", str(error).splitlines()[0], "write plain YAML") from error


def _nodes(loader: Loader, *, several: bool) -> Iterator[yaml.Node]:
    if not several:
        node = loader.get_single_node()
        if node is not None:
            yield node
        return
    while loader.check_node():
        yield loader.get_node()  # type: ignore[misc]


def _document(loader: Loader, node: yaml.Node, written: Sequence[str]) -> Document:
    lines: dict[str, int] = {}
    repeated = _survey(node, lines)
    comments = tuple(_comments_above(node.start_mark.line, written))
    begin = node.start_mark.line + 1
    return Document(loader.construct_document(node), lines, tuple(repeated), comments, begin)


def _told_apart(document: Document) -> Document:
    return replace(document, lines={"": document.begin, **document.lines})


def _comments_above(line: int, written: Sequence[str]) -> list[str]:
    """Returns the comments between a line and what stands above it but a document's beginning."""
    found: list[str] = []
    for text in reversed(written[:line]):
        if text.strip() and not text.startswith(("#", "---")):
            break
        found += [text] if text.startswith("#") else []
        if text.startswith("---") and line > 0 and found:
            break
    return found[::-1]


def _extent(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Returns how many values a node holds and how deep they lie, aliases written out."""
    if id(node) not in known:
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for entry in below for child in (entry if isinstance(entry, tuple) else (entry,))]
        extents = [_extent(child, known) for child in children]
        height = 1 + max((depth for _, depth in extents), default=0)
        known[id(node)] = (1 + sum(size for size, _ in extents), height)
    return known[id(node)]


def _too_deep(mark: Any) -> RecipeFileError:  # noqa: ANN401 - as above
    return _refusal(_line(mark), f"lists and mappings are nested more than {DEEPEST} deep", "flatten them")


def _refusal(field: str, detail: str, remedy: str) -> RecipeFileError:
    return RecipeFileError([RecipeError(field, detail, remedy)])


def _line(mark: Any) -> str:  # noqa: ANN401 - PyYAML's two kinds of marks
    return "file" if mark is None else f"line {mark.line + 1}"


def _survey(root: yaml.Node, lines: dict[str, int]) -> list[SpaceError]:
    """Notes the lines of all paths; returns the keys that a mapping has twice.  PyYAML keeps the last.

    What a merge key (`<<`) brings in counts where the mapping does not have the key itself.
    """
    problems: list[SpaceError] = []
    waiting: list[tuple[str, yaml.Node]] = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            for i, child in enumerate(node.value):
                lines.setdefault(f"{path}{i}", child.start_mark.line + 1)
                waiting.append((f"{path}{i}.", child))
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, child in node.value:
                if key.tag == _MERGE:
                    merged = child.value if isinstance(child, yaml.SequenceNode) else [child]
                    waiting[:0] = [(path, each) for each in merged]
                    continue
                name, line = str(key.value), key.start_mark.line + 1
                if name in seen:
                    detail = f"stands there twice, in lines {seen[name]} and {line}"
                    problems.append(RecipeError(f"{path}{name}", detail, "keep one of the two"))
                seen[name] = lines[f"{path}{name}"] = line
                waiting.append((f"{path}{name}.", child))
    return problems
