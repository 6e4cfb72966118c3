"""Folds and samples hold whole prompts, are random by seed, and have the asked size."""

import pytest
import torch

from trueward.core.errors import TruewardError
from trueward.data.splits import fold_of, prompt_numbers, sample_prompts, split_rows

GROUP = torch.tensor([5, 5, 9, 9, 9, 1, 7, 7, 3, 3])


def test_prompts_are_numbered_without_gaps():
    assert prompt_numbers(3, None).tolist() == [0, 1, 2]
    assert prompt_numbers(10, GROUP).tolist() == [2, 2, 4, 4, 4, 0, 3, 3, 1, 1]


def test_folds_hold_whole_prompts_and_differ_by_seed():
    fold = fold_of(10, 3, 0, GROUP)
    assert torch.equal(fold, fold_of(10, 3, 0, GROUP))
    assert set(fold.tolist()) == {0, 1, 2}
    for prompt in GROUP.unique():
        assert len(fold[prompt == GROUP].unique()) == 1
    assert any(not torch.equal(fold, fold_of(10, 3, seed, GROUP)) for seed in range(1, 5))


@pytest.mark.parametrize(("share", "held_out"), [(0.2, 20), (0.5, 50), (0.001, 1), (0.999, 99)])
def test_a_split_holds_out_a_share_of_the_prompts(share, held_out):
    rest, held = split_rows(100, share, 1)
    assert len(held) == held_out
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(100))


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_a_share_outside_of_0_and_1_is_refused(share):
    with pytest.raises(TruewardError, match=f"between 0 and 1, not {share}"):
        split_rows(10, share, 0)


@pytest.mark.parametrize(("n", "group"), [(0, None), (1, None), (4, torch.ones(4))])
def test_one_prompt_cannot_be_split(n, group):
    with pytest.raises(TruewardError, match=f"at least 2 prompts, and the log has {min(n, 1)}"):
        fold_of(n, 2, 0, group)


def test_a_sample_has_whole_prompts_up_to_its_size_and_some_first():
    prompt = prompt_numbers(10, GROUP)
    rows = sample_prompts(prompt, torch.tensor([5]), 5, torch.Generator().manual_seed(0))
    assert len(rows) <= 5
    assert 5 in rows.tolist()
    for number in prompt[rows].unique():
        assert int((prompt[rows] == number).sum()) == int((prompt == number).sum())
