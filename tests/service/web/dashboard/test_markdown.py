"""Notes become markup, and nothing else does."""

from __future__ import annotations

import pytest

from service.web.dashboard.markdown import markdown


def test_notes_have_emphasis_lists_links_and_tables() -> None:
    text = markdown("**bold** [paper](https://arxiv.org/abs/1)\n\n- one\n\n| a |\n|---|\n| 1 |")

    for part in ("<strong>bold</strong>", '<a href="https://arxiv.org/abs/1">', "<li>one</li>", "<td>1</td>"):
        assert part in text


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://elsewhere.example/pixel.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "<https://ok.example> <a href='javascript:alert(1)'>x</a>",
    ],
)
def test_what_others_wrote_runs_nothing_and_fetches_nothing(hostile: str) -> None:
    text = markdown(hostile)

    for tag in ("<script", "<img", 'href="javascript', 'href="data', "<a href='"):
        assert tag not in text
