from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.miniatures.digits import Items, deal_digits
from benchmarks.miniatures.experts import Experts
from benchmarks.miniatures.problem import Engine, search


@pytest.fixture(scope="module")
def experts() -> Experts:
    return Experts(seed=0)


def test_the_four_parts_of_the_digits_share_no_item_and_a_seed_deals_them() -> None:
    first, second = (_parts(seed) for seed in (3, 4))

    assert [len(part) for part in first] == [797, 400, 200, 400]
    assert not torch.equal(first[0].labels, second[0].labels)
    assert _sorted(first) == _sorted(second)


def _parts(seed: int) -> list[Items]:
    data = deal_digits(seed)
    return [data.train, data.search, data.selection, data.test]


def _sorted(parts: list[Items]) -> list[list[float]]:
    return sorted(torch.cat([part.pixels for part in parts]).tolist())


def test_an_expert_alone_is_good_at_its_digits_only(experts: Experts) -> None:
    for genome, low, high in zip(experts.baselines(), (0.3, 0.2, 0.2), (0.45, 0.35, 0.35), strict=False):
        assert low < experts.items(genome, "test").mean() < high


def test_a_search_beats_the_average_of_the_experts_on_items_it_never_saw(experts: Experts) -> None:
    found = search(experts, Engine("cma_es"), evaluations=150, seed=1)

    assert len(found.genomes) == 154
    average = experts.items(experts.baselines()[-1], "test").mean()
    assert experts.items(found.best, "test").mean() > average + 0.03


def test_a_search_over_a_changing_part_of_the_items_is_scored_on_that_part(experts: Experts) -> None:
    found = search(
        experts, Engine("random", population=4), evaluations=8, seed=1, ask_items=lambda turn: [turn]
    )

    assert set(found.scores) <= {0.0, 1.0}
    whole = experts.items(found.genomes[-1], "search")
    assert found.scores[-1] == whole[2]
    assert np.isin(whole, (0.0, 1.0)).all()
