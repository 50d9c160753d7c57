"""mergekit as a peer: installed apart, kept running, asked to merge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.merge_models import Case
from benchmarks.peers.environments import PeerProcess, peer_python

VERSION = "0.1.5"
PACKAGES = (f"mergekit=={VERSION}",)
ON_DISK, IN_MEMORY = ("disk", "disk, asynchronously"), "memory"


def mergekit_python() -> Path:
    """Returns the interpreter of mergekit's environment, made on first use.

    Raises:
        PeerUnavailableError: It cannot be installed here.
    """
    return peer_python("mergekit", PACKAGES)


class Mergekit:
    """A running mergekit, whose imports are done.

    Attributes:
        way: The fastest of its ways to merge, found by `choose_way`.
        disk_way: The fastest of those that end on the disk.
    """

    def __init__(self, folder: Path) -> None:
        """Starts it.

        Args:
            folder: For recipes and results.

        Raises:
            PeerUnavailableError: It cannot be installed here.
        """
        self._folder = folder
        self.out = folder / "mergekit"
        self.way = self.disk_way = ON_DISK[0]
        self._process = PeerProcess(mergekit_python(), Path(__file__).parent / "mergekit_peer.py")

    def choose_way(self, text: str) -> dict[str, float]:
        """Finds the fastest ways with a recipe; returns the seconds of each."""
        found = {}
        for way in (*ON_DISK, IN_MEMORY):
            self.merge(text, way)  # what is loaded and read for the first time is not timed
            found[way] = self.merge(text, way)
        self.way = min(found, key=lambda way: found[way])
        self.disk_way = min(ON_DISK, key=lambda way: found[way])
        return found

    def merge(self, text: str, way: str | None = None, *, save: bool = False) -> float:
        """Merges a recipe; returns the seconds, starting and importing not counted."""
        recipe = self._folder / "recipe.yml"
        recipe.write_text(text)
        request = {"recipe": str(recipe), "out": str(self.out), "way": way or self.way, "save": save}
        return float(self._process.ask(request)["seconds"])

    def weights(self) -> dict[str, Tensor]:
        """Returns what was written last."""
        return {
            name: t for file in sorted(self.out.glob("*.safetensors")) for name, t in load_file(file).items()
        }

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__()
        shutil.rmtree(self.out, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Command:
    """What a command took.

    Attributes:
        seconds: From its start to its end.
        peak: The most memory that it had resident, in bytes.
    """

    seconds: float
    peak: int


def run_command(command: Sequence[str]) -> Command:
    """Runs a command without showing what it says.

    Raises:
        RuntimeError: It failed.
    """
    script = Path(__file__).parent.parent / "measuring" / "measured_command.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), *command], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    if found["status"]:
        raise RuntimeError(f"{' '.join(command)} failed; run it to see why")
    return Command(found["seconds"], found["peak"])


def base_weights(folder: Path) -> Callable[[str], Tensor]:
    """Returns a look at the tensors of a model on the disk."""
    file = safe_open(str(folder / "model.safetensors"), framework="pt")

    def read(name: str) -> Tensor:
        tensor: Tensor = file.get_tensor(name)  # type: ignore[no-untyped-call]
        return tensor

    return read


_ROUNDING = 2.0**-6
"""mergekit rounds to bfloat16 after every step: what may come together, as a share of a weight."""


def check_alike(
    case: Case, mine: dict[str, Tensor], theirs: dict[str, Tensor], base: Callable[[str], Tensor]
) -> None:
    """Refuses to compare the speed of two different results.

    mergekit computes in bfloat16 what is computed in float32 here: entries must agree within its
    roundings.  Where it ranks equal magnitudes in no declared order, some entries may differ.  Where
    it draws other masks, the length and the direction of the whole change must agree.

    Raises:
        ValueError: The two do not merge the same recipe.
    """
    for name, other in theirs.items():
        own, its = mine[name].float(), other.float()
        if case.draws:
            _check_change(f"{case.method}, {name}", own, its, base(name).float())
            continue
        allowed = _ROUNDING * (its.abs() + (its.std() if its.numel() > 1 else 0.0))
        beyond = float(((own - its).abs() > allowed).float().mean())
        if not beyond <= case.may_differ:
            furthest = float((own - its).abs().max())
            raise ValueError(
                f"{case.method}, {name}: {beyond:.2%} of the entries differ, by up to {furthest:g}"
            )


def _check_change(name: str, own: Tensor, its: Tensor, origin: Tensor) -> None:
    """Compares two changes of which random parts were dropped."""
    if own.numel() < 1 << 16:
        return  # too few to be alike
    own, its = own - origin, its - origin
    cosine = float(torch.nn.functional.cosine_similarity(own.flatten(), its.flatten(), dim=0))
    lengths = float(own.norm() / its.norm())
    if not (cosine > 0.35 and 0.95 < lengths < 1.05):
        raise ValueError(f"{name}: cosine {cosine:.3f}, ratio of lengths {lengths:.3f}")
