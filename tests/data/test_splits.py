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


@pytest.mark.parametrize("seed", range(20))
def test_few_labels_of_a_class_are_on_both_sides_of_a_split(seed):
    """60 prompts of 2; 30 ratings, 2 of them bad: a random draw of 12 prompts has none in 64 % of splits."""
    group = torch.arange(120) // 2
    label = torch.full((120,), torch.nan)
    label[::4] = 1.0
    label[[8, 44]] = 0.0
    rest, held = split_rows(120, 0.2, seed, group, label)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(120))
    assert not set(group[rest].tolist()) & set(group[held].tolist())
    for part in (rest, held):
        assert {0.0, 1.0} <= set(label[part].tolist())
    assert 22 <= len(held) <= 26


def test_a_split_with_enough_of_each_class_is_the_plain_one():
    label = (torch.arange(100) % 2).double()
    plain, stratified = split_rows(100, 0.2, 3), split_rows(100, 0.2, 3, label=label)
    assert all(torch.equal(a, b) for a, b in zip(plain, stratified, strict=True))


def test_a_class_of_one_prompt_stays_among_the_training_rows():
    label = torch.full((40,), torch.nan)
    label[:10] = 1.0
    label[0] = 0.0
    for seed in range(5):
        rest, held = split_rows(40, 0.2, seed, label=label)
        assert 0 in rest.tolist()
        assert 1.0 in label[held].tolist()
