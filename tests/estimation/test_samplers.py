"""Which rows stand together in a batch, and which make a pair."""

import pytest
import torch

from trueward.estimation.samplers import by_prompt, pairs


def generator():
    return torch.Generator().manual_seed(0)


def test_the_answers_to_a_prompt_come_in_one_batch_and_every_row_once():
    group = torch.tensor([5, 5, 9, 9, 9, 2, 2, 2, 2, 7])
    batches = list(by_prompt(torch.arange(10), 4, generator(), group))
    assert torch.cat(batches).sort().values.tolist() == list(range(10))
    assert all(len(i) <= 4 for i in batches)
    homes = {int(p): {k for k, i in enumerate(batches) if p in group[i]} for p in group}
    assert all(len(where) == 1 for where in homes.values())


def test_a_prompt_larger_than_a_batch_is_cut():
    batches = list(by_prompt(torch.arange(7), 3, generator(), torch.zeros(7)))
    assert [len(i) for i in batches] == [3, 3, 1]


def test_no_rows_make_no_batch():
    assert list(by_prompt(torch.arange(0), 3, generator(), torch.zeros(7))) == []


def test_pairs_are_all_ordered_pairs_of_a_small_prompt():
    i, j = pairs(torch.tensor([1, 2, 1, 2, 2]))
    found = set(zip(i.tolist(), j.tolist(), strict=True))
    assert found == {(0, 2), (2, 0), (1, 3), (1, 4), (3, 1), (3, 4), (4, 1), (4, 3)}


def test_a_row_has_at_most_the_wanted_number_of_partners():
    i, j = pairs(torch.zeros(50), most=3)
    assert torch.bincount(i).tolist() == [3] * 50
    assert (i != j).all()


@pytest.mark.parametrize("n", [0, 1])
def test_a_row_alone_has_no_partner(n):
    assert len(pairs(torch.zeros(n))[0]) == 0
