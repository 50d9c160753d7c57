"""Progress in a notebook: one output that is rewritten in place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from service.reports.views import ExperimentView


def in_notebook() -> bool:
    """Says whether this process is a notebook's kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


@dataclass(slots=True)
class NotebookDisplay:
    """A bar and its facts in one output cell.

    Attributes:
        facts: Says in a line how an experiment stands.
    """

    facts: Callable[[ExperimentView], str]
    _handle: Any = None

    def show(self, view: ExperimentView) -> None:
        """Writes the output, or writes it anew."""
        from IPython.display import HTML, display  # there, for this is a notebook

        done, total = view.progress.settled, view.progress.total
        content = HTML(
            f'<progress value="{done}" max="{total}"></progress> {escape(view.name)}: {done}/{total} '
            f"candidates, {escape(self.facts(view))}"
        )
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)
