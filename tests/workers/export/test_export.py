from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from search_spaces import Recipe, Slice, Source
from search_spaces.recipes.settings import constant
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at
from tests.workers.sparse_models import write_zeros
from workers.errors import CheckpointError, ExportError, MergeError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder

REPOSITORY = Path(__file__).parents[3]
MERGER = """
import resource, sys, time
from pathlib import Path
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder
from search_spaces import Recipe

def slowly(tensors, size):
    if tensors == 10:
        print("ten", flush=True)
        time.sleep(60)

order = ExportOrder(Recipe.model_validate_json(sys.argv[1]), sys.argv[2], shard_bytes=5000, verify=False)
if sys.argv[3] == "no room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
merge_to_disk(order, slowly if sys.argv[3] == "slowly" else None)
"""
MEASURED = """
import re, sys
from pathlib import Path
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder
from workers.export.memory_limit import resident_bytes
from search_spaces import Recipe

import workers.merging.fast.backends.numba_backend  # what is loaded at a merge belongs to the program
recipe = Recipe.model_validate_json(sys.argv[1])
merge_to_disk(ExportOrder(recipe, sys.argv[2], verify=False))
Path("/proc/self/clear_refs").write_text("5")  # the most it has resident is counted from now on
limit = resident_bytes() + int(sys.argv[4])
large = Recipe.model_validate_json(sys.argv[3])
merge_to_disk(ExportOrder(large, sys.argv[2] + "-large", memory_limit=limit, verify=False))
most = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(limit, int(most[1]) * 1024)
"""


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    folders = []
    for name in ("left", "right"):  # copies, so that a test may change them
        shutil.copytree(tiny_parents[name], tmp_path / "parents" / name)
        folders.append(tmp_path / "parents" / name)
    recipe = linear_recipe(folders, (0.25, 0.75))
    return ExportOrder(recipe, str(tmp_path / "out" / "merged"), shard_bytes=5000, verify=False)


@pytest.fixture
def killed(order: ExportOrder) -> ExportOrder:
    """An order at which a process was killed after ten tensors of twenty-one."""
    with started(order, "slowly") as process:
        wait_for_ten(process)
        os.kill(process.pid, signal.SIGKILL)
    assert not Path(order.folder).exists()
    return order


def started(order: ExportOrder, how: str) -> subprocess.Popen[str]:
    arguments = [order.recipe.model_dump_json(), order.folder, how]
    return subprocess.Popen(
        [sys.executable, "-c", MERGER, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )


def wait_for_ten(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ten\n"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def listening(order: ExportOrder) -> tuple[str, list[int]]:
    """Merges; returns the digest, and how many tensors there were each time that progress was told."""
    reported: list[int] = []
    exported = merge_to_disk(order, lambda tensors, _: reported.append(tensors))
    return exported.digest, reported


def digest_in_one_go(order: ExportOrder) -> str:
    folder = Path(order.folder).parent / "in-one-go"
    return merge_to_disk(replace(order, folder=str(folder), replace=True)).digest


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads merging may use."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_tensors_that_are_merged_beside_each_other_come_out_the_same(
    order: ExportOrder, threads: Callable[[int], None]
) -> None:
    threads(1)
    alone = digest_in_one_go(order)

    threads(3)
    assert digest_in_one_go(order) == alone


def test_a_killed_merge_goes_on_where_it_stopped_and_gives_the_same_files(killed: ExportOrder) -> None:
    digest, reported = listening(killed)
    assert reported == list(range(10, 22))
    assert digest == digest_in_one_go(killed)
    folder = Path(killed.folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["in-one-go", "merged"]
    assert "journal" not in {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_merge_can_be_killed_over_and_over(order: ExportOrder) -> None:
    for _ in range(2):
        with started(order, "slowly") as process:
            wait_for_ten(process)
            process.kill()
    assert listening(order)[1][0] == 10


def test_a_merge_begins_anew_when_asked_to(killed: ExportOrder) -> None:
    assert listening(replace(killed, restart=True))[1] == list(range(1, 22))


def other_weights(order: ExportOrder) -> ExportOrder:
    folders = [Path(parent.model) for parent in order.recipe.all_parents]
    return replace(order, recipe=linear_recipe(folders, (0.5, 0.5)))


def other_shards(order: ExportOrder) -> ExportOrder:
    return replace(order, shard_bytes=6000)


def touched_parent(order: ExportOrder) -> ExportOrder:
    os.utime(Path(order.recipe.all_parents[0].model, "model.safetensors"), (1, 1))
    return order


@pytest.mark.parametrize(
    "change",
    [other_weights, other_shards, touched_parent],
)
@pytest.mark.slow
def test_what_was_written_for_another_merge_is_not_used(
    killed: ExportOrder, change: Callable[[ExportOrder], ExportOrder]
) -> None:
    changed = change(killed)
    digest, reported = listening(changed)
    assert reported == list(range(1, 22))
    assert digest == digest_in_one_go(changed)


def flip_a_byte(files: list[Path]) -> None:
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)


def lose_the_end(files: list[Path]) -> None:
    os.truncate(files[1], files[1].stat().st_size - 1)


def lose_a_file(files: list[Path]) -> None:
    files[0].unlink()


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, *(pytest.param(one, marks=pytest.mark.slow) for one in (lose_the_end, lose_a_file))],
)
def test_unfinished_files_are_not_believed(killed: ExportOrder, damage: Callable[[list[Path]], None]) -> None:
    (partial,) = Path(killed.folder).parent.iterdir()
    damage(sorted((partial / "checkpoint").iterdir()))
    digest, reported = listening(killed)
    assert reported[0] < 10
    assert reported[-1] == 21
    assert digest == digest_in_one_go(killed)


def test_a_journal_that_was_cut_short_is_believed_as_far_as_it_goes(killed: ExportOrder) -> None:
    (partial,) = Path(killed.folder).parent.iterdir()
    journal = partial / "journal"
    os.truncate(journal, journal.stat().st_size - 30)
    digest, reported = listening(killed)
    assert reported[0] == 9
    assert digest == digest_in_one_go(killed)


def test_two_processes_do_not_write_to_one_place(order: ExportOrder) -> None:
    with started(order, "slowly") as process:
        wait_for_ten(process)
        with pytest.raises(ExportError, match="another merge"):
            merge_to_disk(order)
        process.kill()
    assert listening(order)[1][0] == 10


def test_a_merge_goes_on_after_there_was_no_room(order: ExportOrder) -> None:
    large = replace(order, shard_bytes=10**9)
    arguments = [large.recipe.model_dump_json(), large.folder, "no room"]
    program = MERGER.replace("shard_bytes=5000", f"shard_bytes={large.shard_bytes}")
    ended = run(program, *arguments)
    assert ended.returncode == 1
    assert "ExportError" in ended.stderr
    assert "File too large" in ended.stderr
    assert not Path(order.folder).exists()
    digest, reported = listening(large)
    assert reported[0] > 1
    assert digest == digest_in_one_go(large)


def test_a_merge_that_cannot_be_made_leaves_nothing(order: ExportOrder) -> None:
    overflowing = linear_recipe([Path(p.model) for p in order.recipe.all_parents], (3e38, 3e38))
    with pytest.raises(MergeError, match="overflow"):
        merge_to_disk(replace(order, recipe=overflowing))
    assert list(Path(order.folder).parent.iterdir()) == []


def test_a_parent_that_changes_meanwhile_is_noticed(order: ExportOrder) -> None:
    weights = Path(order.recipe.all_parents[1].model, "model.safetensors")

    def replace_it(size: int) -> None:  # before a tensor is read; progress may come when all are
        shutil.copy(weights, weights.with_suffix(".new"))
        weights.with_suffix(".new").rename(weights)

    with pytest.raises(CheckpointError, match="changed while it was being merged"):
        merge_to_disk(order, announce=replace_it)
    assert list(Path(order.folder).parent.iterdir()) == []


def test_the_bytes_to_come_are_announced(order: ExportOrder) -> None:
    announced: list[int] = []
    exported = merge_to_disk(order, None, announced.append)
    weights = [load_file(path) for path in Path(exported.folder).glob("*.safetensors")]
    assert announced == [sum(tensor.nbytes for shard in weights for tensor in shard.values())]


# Memory


@pytest.fixture
def large(tmp_path: Path) -> list[Path]:
    """Three parents of 160 MB each."""
    return [write_zeros(tmp_path / f"large{i}", tokens=80_000, hidden=1000) for i in range(3)]


@pytest.mark.slow
def test_a_merge_of_models_larger_than_the_limit_stays_below_it(
    large: list[Path], tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    room = 80 * 2**20
    small = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5), out_dtype="bfloat16")
    recipe = linear_recipe(large, (0.5, 0.25, 0.25))
    arguments = [small.model_dump_json(), str(tmp_path / "out"), recipe.model_dump_json(), str(room)]
    ended = run(MEASURED, *arguments)
    limit, most = (int(number) for number in ended.stdout.split())
    assert most <= limit
    assert (tmp_path / "out-large" / "model.safetensors").stat().st_size > 160e6


def slerp_of(folders: list[Path]) -> Recipe:
    base, other = (parent_at(folder) for folder in folders[:2])
    sources = (Source(parent=base), Source(parent=other))
    return Recipe(
        method="slerp", base=base, slices=(Slice(sources=sources),), parameters={"t": constant(0.5)}
    )


def test_a_tensor_too_large_for_the_limit_is_refused_before_anything_is_written(
    large: list[Path], tmp_path: Path
) -> None:
    from workers.export.memory_limit import resident_bytes

    limit = resident_bytes() + 200 * 2**20
    order = ExportOrder(slerp_of(large), str(tmp_path / "out"), memory_limit=limit, verify=False)
    with pytest.raises(ExportError, match=r"embed_tokens.*takes about") as caught:
        merge_to_disk(order)
    assert not list(tmp_path.glob("*out*"))
    needed = re.search(r"allow ([\d.]+) GB or more", caught.value.remedy)
    assert needed is not None
    merge_to_disk(replace(order, memory_limit=int(float(needed[1]) * 1e9) + 10**8))


def test_a_limit_below_what_the_program_takes_is_refused(order: ExportOrder) -> None:
    with pytest.raises(ExportError, match="too little") as caught:
        merge_to_disk(replace(order, memory_limit=10**6))
    assert caught.value.field == "memory limit"


def test_a_limit_changes_no_bit(order: ExportOrder) -> None:
    limited = replace(order, memory_limit=10**10)
    assert merge_to_disk(limited).digest == digest_in_one_go(order)


def test_settings_in_which_parents_differ_are_named_beside_the_merged_model(tmp_path: Path) -> None:
    first, second = (save_tiny_model(tmp_path / name, seed) for seed, name in enumerate(("first", "second")))
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))

    exported = merge_to_disk(
        ExportOrder(linear_recipe([first, second], (0.5, 0.5)), str(tmp_path / "merged"))
    )

    (note,) = exported.notes
    assert note.startswith(f"{second}: hidden_act (the activation) is 'gelu'")
    assert f"computes with that of {first}" in note
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["hidden_act"] == "silu"
