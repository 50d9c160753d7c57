"""`evomerge`: the command line.  One file per command or family of commands, in a folder per subject."""

from __future__ import annotations

from service.cli.program import main

__all__ = ["main"]
