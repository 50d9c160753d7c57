"""Quantized copies of a finished checkpoint, each in a folder beside it that is complete or not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import workers
from workers.checkpoints.companions import companions_of
from workers.checkpoints.writing.staging import name_of_partial, put_in_place, sync
from workers.errors import ExportError, FolderTakenError
from workers.export.contents import CARD_FILE
from workers.export.quantized import quantizing
from workers.export.quantized.card import card_of_copy
from workers.export.quantized.kinds import KINDS
from workers.export.recipe_folder import described
from workers.protocol.messages import Exported

ABOUT_FILE = "evomerge.json"
LONGEST = 4 * 3600.0  # seconds
_REMEDY = "leave this kind out (--quantize); the whole checkpoint is kept"


def place_of_copy(folder: Path, kind: str) -> Path:
    """Returns where a checkpoint's copy lies."""
    return folder.parent / f"{folder.name}-{kind}"


def check_places(folder: Path, kinds: Sequence[str], *, replace: bool) -> None:
    """Makes sure that nothing lies where copies will.

    Raises:
        FolderTakenError: Something does, and may not be replaced.
    """
    for kind in kinds:
        place = place_of_copy(folder, kind)
        if os.path.lexists(place) and not replace:
            raise FolderTakenError(str(place))


def write_copy(exported: Exported, kind: str, whole: str, *, replace: bool) -> Exported:
    """Writes one copy of a checkpoint, loaded again and compared before it gets its name.

    Args:
        exported: The checkpoint.
        kind: Of `KINDS`.
        whole: What the checkpoint is called in the copy's card: a repository or a folder's name.
        replace: A folder that lies there may go.

    Raises:
        ExportError: The library cannot quantize this network, or what it wrote does not load.
        FolderTakenError: Something lies there.
    """
    folder = Path(exported.folder)
    place = place_of_copy(folder, kind)
    check_places(folder, [kind], replace=replace)
    partial = name_of_partial(place)
    try:
        partial.mkdir()
        verified = _quantized(folder, partial, kind)
        for name, path in companions_of(folder).items():
            target = partial / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        card = folder / CARD_FILE
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        (partial / CARD_FILE).write_text(card_of_copy(text, whole, kind, KINDS[kind], verified), "utf-8")
        for path in partial.glob("*.safetensors"):
            path.chmod((partial / CARD_FILE).stat().st_mode)  # safetensors lets the owner alone read them
        (partial / ABOUT_FILE).write_text(_about(kind, whole), "utf-8")
        sync(partial)
        put_in_place(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return described(place, verified)


def _about(kind: str, whole: str) -> str:
    """Returns what a copy is, for programs."""
    copy = {"of": whole, "kind": kind, "made_by": KINDS[kind].made_by}
    return json.dumps({"evomerge": version("evomerge"), "quantized": copy}, indent=2) + "\n"


def _quantized(folder: Path, partial: Path, kind: str) -> str:
    """Writes weights and configuration; returns what was found right, in a sentence."""
    told = _run([sys.executable, "-P", "-m", quantizing.__name__, str(folder), str(partial), kind], kind)
    if "problem" in told:
        raise ExportError("quantize", f"no {kind} copy was written: {told['problem']}", _REMEDY)
    return (
        "loaded again, its logits of a short input are those it was written with; they differ from the whole "
        f"model's by up to {told['changed']:.2g}, where the largest is {told['largest']:.2g}"
    )


def _run(command: Sequence[str], kind: str) -> dict[str, Any]:
    home = str(Path(workers.__file__).resolve().parents[1])
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
    closed = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, our module
            command,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            env={**os.environ, **closed, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError("quantize", f"a {kind} copy took more than {LONGEST:.0f} s", _REMEDY) from error
    last = done.stdout.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        said = " / ".join(done.stderr.strip().splitlines()[-2:])[:300]
        return {"problem": f"the process that made it ended with {done.returncode} ({said or 'no message'})"}
    return dict(json.loads(last))
