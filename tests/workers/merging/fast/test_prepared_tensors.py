"""What methods prepare is made once: by several threads, for several workers, and never read wrong."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.workers.merging.kernel_contract import Variant, draw, ingredients, plan_of
from workers.merging.fast.caches import Caches
from workers.merging.fast.preparations.countdown import Countdown
from workers.merging.fast.preparations.prepared_store import PreparedStore, users_store
from workers.merging.fast.preparations.prepared_tensors import prepared
from workers.merging.fast.threads import at_most, one_by_one
from workers.merging.kernel import Ingredients
from workers.merging.methods.tsvm import TSVM

SHAPE = (512, 256)  # as few entries as are worth storing


def _mixed(seed: int = 0, weights: tuple[float, float] = (0.5, 0.4)) -> Ingredients:
    base = draw(seed, torch.float32, SHAPE)
    return ingredients("iso_c", [base + draw(seed + 1, shape=SHAPE) / 8, base], base, weights)


def _prepare(mixed: Ingredients, store: PreparedStore) -> tuple[Tensor, ...]:
    return prepared(plan_of(mixed, Variant("iso_c")), mixed, Caches(2**30, store))


def _files(store: PreparedStore) -> list[Path]:
    return sorted(store.folder.glob("*"))


def test_what_one_worker_made_another_reads(tmp_path: Path) -> None:
    store, mixed = PreparedStore(tmp_path / "prepared", 2**30), _mixed()
    (made,) = _prepare(mixed, store)
    (file,) = _files(store)
    store.put(file.stem, [made + 1])  # so that what is read differs from what would be made

    assert torch.equal(_prepare(mixed, store)[0], made + 1)
    _prepare(_mixed(seed=5), store)  # other parents
    _prepare(_mixed(weights=(0.5, 0.3)), store)  # another parameter that it depends on
    assert len(_files(store)) == 3


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    store, mixed = PreparedStore(tmp_path, 2**30), _mixed()
    (made,) = _prepare(mixed, store)
    (file,) = _files(store)
    whole = file.read_bytes()
    for broken in (whole[:-4] + bytes(4), whole[: len(whole) // 2], b"", whole[:8] + b"!" * 40 + whole[48:]):
        file.write_bytes(broken)

        (again,) = _prepare(mixed, store)

        assert torch.equal(made, again)
        assert store.get(file.stem) is not None


def test_the_longest_unused_give_way(tmp_path: Path) -> None:
    one = torch.ones(1000)
    store = PreparedStore(tmp_path, 4 * 5000)
    for number, key in enumerate("abcd"):
        store.put(key, [one])
        os.utime(tmp_path / f"{key}.safetensors", (number, number))
    assert store.get("a") is not None  # used just now

    store.put("e", [one])

    assert [store.get(key) is not None for key in "abcde"] == [True, False, True, True, True]
    store.put("too large", [torch.ones(2000)])
    assert store.get("too large") is None


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = PreparedStore(tmp_path / "file" / "prepared", 2**30)

    assert len(_prepare(_mixed(), store)) == 1


def test_the_users_store_can_be_limited_and_turned_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("EVOMERGE_PREPARED_BYTES", "123")
    assert users_store() == PreparedStore(tmp_path / "caches" / "evomerge" / "prepared", 123)

    monkeypatch.setenv("EVOMERGE_PREPARED_BYTES", "0")
    assert users_store() is None


def test_decompositions_beside_each_other_have_the_bits_of_one_after_the_other() -> None:
    several = [
        ingredients("tsvm", [base + draw(seed + 9, shape=SHAPE) / 8 for seed in (1, 2)], base, (0.5, 0.4))
        for base in (draw(number, torch.float32, SHAPE) for number in range(4))
    ]
    alone = one_by_one(TSVM.make, several)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        beside = at_most(2)(TSVM.make, several)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)

    for one, other in zip(alone, beside, strict=True):
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_a_long_preparation_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 4.0, 12.0, 16.0, 40.0])
    countdown = Countdown("merging:", 4, clock=lambda: next(times))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            countdown.step()

    assert caplog.messages == ["merging: 2 of 4 tensors, about 12 s left"]
