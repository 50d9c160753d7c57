from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from evaluators import SPLITS, Benchmark, ItemShares, NamedSplits

ITEMS = [{"q": f"question {n}", "a": n % 4} for n in range(2000)]


def test_shares_are_disjoint_and_about_as_large_as_asked() -> None:
    shares = ItemShares(search=0.5, selection=0.2, test=0.2)
    found = {split: shares.items_of(split, ITEMS) for split in SPLITS}
    chosen = [position for positions in found.values() for position in positions]
    assert len(chosen) == len(set(chosen))
    assert len(found["search"]) == pytest.approx(1000, abs=80)
    assert len(found["selection"]) == pytest.approx(400, abs=80)
    assert len(chosen) == pytest.approx(1800, abs=80)


def test_an_items_split_depends_on_its_content_alone() -> None:
    shares = ItemShares()
    shuffled = random.Random(0).sample(ITEMS, len(ITEMS))
    backwards = [dict(reversed(item.items())) for item in shuffled]  # the order of keys is no content
    for split in SPLITS:
        before = {ITEMS[n]["q"] for n in shares.items_of(split, ITEMS)}
        after = {backwards[n]["q"] for n in shares.items_of(split, backwards)}
        assert before == after


def test_an_item_keeps_its_split_when_others_are_added() -> None:
    shares = ItemShares()
    more = [{"q": f"a new question {n}", "a": n % 4} for n in range(500)]
    for split in SPLITS:
        before = {ITEMS[n]["q"] for n in shares.items_of(split, ITEMS)}
        both = more + ITEMS
        after = {both[n]["q"] for n in shares.items_of(split, both)}
        assert before == {question for question in after if not str(question).startswith("a new")}


def test_equal_items_lie_in_one_split() -> None:
    shares = ItemShares()
    assert len({shares.split_of({"q": "again", "a": 1}) for _ in range(5)}) == 1


def test_another_seed_divides_differently() -> None:
    one, other = (ItemShares(seed=seed).items_of("search", ITEMS) for seed in (0, 1))
    assert one != other


def test_a_default_share_takes_every_item() -> None:
    assert all(ItemShares().split_of(item) for item in ITEMS)


def test_shares_that_exceed_the_items_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"add up to 1\.4"):
        ItemShares(search=0.8)


def test_two_splits_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="name three different ones"):
        NamedSplits(search="validation", selection="validation", test="test")


@pytest.mark.parametrize(
    "rule", [NamedSplits(search="train"), ItemShares(seed=3), ItemShares(), NamedSplits(), None]
)
def test_a_benchmark_survives_json(rule: NamedSplits | ItemShares | None) -> None:
    benchmark = Benchmark(name="sums", task="sums", splits=rule, num_fewshot=2)
    assert Benchmark.model_validate_json(benchmark.model_dump_json()) == benchmark


def test_an_unknown_key_of_a_benchmark_is_refused() -> None:
    with pytest.raises(ValidationError, match="fewshot"):
        Benchmark.model_validate({"name": "a", "task": "a", "fewshot": 3})
