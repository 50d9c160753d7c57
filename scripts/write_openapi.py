"""Writes docs/openapi.json, the description of the REST interface: `make openapi`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from service.settings import Settings
from service.web.app import create_app

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def described() -> dict[str, Any]:
    """Returns the description as it is now."""
    schema: dict[str, Any] = json.loads(json.dumps(create_app(Settings()).openapi()))
    return schema


def main() -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(described(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
