"""GGUF files, by the converter of llama.cpp where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from workers.errors import ExportError
from workers.export.recipe_folder import described
from workers.protocol.messages import Exported

SETTING = "EVOMERGE_GGUF_CONVERTER"
NAMES = ("convert_hf_to_gguf.py", "convert_hf_to_gguf", "convert-hf-to-gguf")
LONGEST = 4 * 3600.0  # seconds


def find_converter() -> list[str]:
    """Returns the command that converts a checkpoint: the setting's, or the first on the path.

    Raises:
        ExportError: There is none; says how to get one.
    """
    named = os.environ.get(SETTING)
    found = named or next((place for name in NAMES if (place := shutil.which(name))), None)
    if found is None or not Path(found).is_file():
        detail = f"{named} is no file" if named else "no converter to GGUF is installed"
        raise ExportError(
            "format",
            detail,
            f"set {SETTING} to the convert_hf_to_gguf.py of a llama.cpp checkout (with its requirements "
            "installed), or export as hf and convert elsewhere",
        )
    return [sys.executable, found] if found.endswith(".py") else [found]


def convert_to_gguf(exported: Exported) -> Exported:
    """Adds a GGUF file to a checkpoint's folder; it appears complete or not at all.

    Raises:
        ExportError: The converter failed; its last words are told.
    """
    folder = Path(exported.folder)
    target = folder / f"{folder.name}.gguf"
    partial = folder.parent / f".{folder.name}.gguf.partial"
    command = [*find_converter(), str(folder), "--outfile", str(partial)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)  # noqa: S603 - the user's converter
        if done.returncode != 0 or not partial.is_file():
            said = (done.stderr or done.stdout).strip().splitlines()[-3:]
            detail = f"the converter ended with {done.returncode}: {' / '.join(said)[:500] or 'no message'}"
            raise ExportError(
                "format", detail, "see whether llama.cpp knows the architecture; the checkpoint is kept"
            )
        partial.replace(target)
    except subprocess.TimeoutExpired as error:
        remedy = "convert on a faster machine; the checkpoint is kept"
        raise ExportError("format", f"the converter took more than {LONGEST:.0f} s", remedy) from error
    finally:
        partial.unlink(missing_ok=True)
    told = described(folder, exported.verified)
    return replace(told, notes=(*exported.notes, f"{target.name} made by {command[-4]}"))
