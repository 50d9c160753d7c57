"""Where a browser is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def find_browser() -> str | None:
    """Returns a Chromium: named by EVOMERGE_TEST_BROWSER, installed, or playwright's own."""
    named = os.environ.get("EVOMERGE_TEST_BROWSER")
    if named:
        return named
    for command in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(command)) is not None:
            return found
    own = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return next((str(path) for path in sorted(own.glob("chromium-*/chrome-linux*/chrome"))), None)
