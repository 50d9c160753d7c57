"""Says whether a text is a Jinja template as transformers takes them."""

from __future__ import annotations

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser


class _Generation(Extension):
    """transformers' `{% generation %}`, which marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Returns what stands between the tags."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def mistake_in(template: str) -> str | None:
    """Returns why a text is no template, None where it is one; it is not rendered."""
    known = Environment(extensions=["jinja2.ext.loopcontrols", _Generation], autoescape=True)
    try:
        known.parse(template)
    except TemplateError as error:
        return str(error.message)
    return None
