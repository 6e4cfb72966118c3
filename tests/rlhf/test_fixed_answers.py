"""Policies over fixed answers: the optimum of KL-regularised RLHF and best of n, by hand."""

from itertools import product

import numpy as np
import pytest
import torch

from trueward.core.errors import UsageError
from trueward.rlhf import best_of_n_policy, softmax_policy

KL_34 = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)  # of P = 3/4 from 1/2


def objective(probability, reward, base, beta):
    """E[R] - beta KL for one prompt."""
    return probability @ reward - beta * (probability * np.log(probability / base)).sum()


def test_two_answers_by_hand():
    policy = softmax_policy([0.0, 2.0], [5, 5], KL_34)
    assert policy.probability == pytest.approx([0.25, 0.75], abs=1e-9)
    assert policy.kl == pytest.approx([KL_34])
    assert policy.beta == pytest.approx(2 / np.log(3))  # exp(2 / beta) = odds of 3
    assert policy.value([0.1, 0.9]) == pytest.approx([0.25 * 0.1 + 0.75 * 0.9])


def test_a_base_that_prefers_the_worse_answer():
    # base 3/4, 1/4 and a tilt that makes it 1/2, 1/2: KL = 1/2 log(2/3) + 1/2 log 2
    kl = 0.5 * np.log(2 / 3) + 0.5 * np.log(2)
    policy = softmax_policy([0.0, 1.0], ["q", "q"], kl, base=[3.0, 1.0])
    assert policy.probability == pytest.approx([0.5, 0.5], abs=1e-9)
    assert policy.beta == pytest.approx(1 / np.log(3))


def test_no_policy_at_this_divergence_has_a_higher_reward():
    rng = np.random.default_rng(0)
    reward, base = rng.normal(size=5), rng.dirichlet(np.ones(5))
    policy = softmax_policy(reward, np.zeros(5), 0.4, base=base)
    best = objective(policy.probability, reward, base, policy.beta)
    for other in rng.dirichlet(np.ones(5), size=200):
        assert objective(other, reward, base, policy.beta) <= best + 1e-12


def test_one_temperature_for_all_prompts_and_the_mean_divergence_as_asked():
    # prompt 1 is told apart ten times as clearly, so it moves further; shifts of a prompt do not matter
    reward = np.array([0.0, 0.1, 3.0, 4.0])
    policy = softmax_policy(reward, [0, 0, 1, 1], 0.1)
    odds = np.log(policy.probability[[1, 3]] / policy.probability[[0, 2]])
    assert odds == pytest.approx(np.array([0.1, 1.0]) / policy.beta)
    assert policy.kl.mean() == pytest.approx(0.1)
    assert policy.kl[1] > 50 * policy.kl[0]


def test_shift_and_scale_of_the_reward_and_the_order_of_rows_do_not_matter():
    rng = np.random.default_rng(1)
    reward, prompt = rng.normal(size=30), np.repeat(np.arange(6), 5)
    first = softmax_policy(reward, prompt, 0.7)
    other = softmax_policy(7 * reward + np.repeat(rng.normal(size=6), 5), prompt, 0.7)
    assert other.probability == pytest.approx(first.probability, abs=1e-9)
    assert other.beta == pytest.approx(7 * first.beta)
    order = rng.permutation(30)
    mixed = softmax_policy(reward[order], prompt[order], 0.7)
    assert mixed.probability == pytest.approx(first.probability[order], abs=1e-9)
    quality = rng.random(30)
    assert mixed.value(quality[order]) == pytest.approx(first.value(quality))


def test_divergence_zero_is_the_base_policy():
    policy = softmax_policy([3.0, 1.0, 2.0], ["a", "a", "b"], 0, base=[1.0, 3.0, 9.0])
    assert policy.probability == pytest.approx([0.25, 0.75, 1.0])
    assert policy.kl.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kl", [0.6931471, 0.7, 5.0])
def test_a_divergence_that_no_choice_reaches_is_refused_with_the_largest(kl):
    with pytest.raises(UsageError, match=r"below 0\.6931 nats"):
        softmax_policy([0.0, 1.0], [0, 0], 0.6931471806 if kl == 0.6931471 else kl)


def test_equal_rewards_cannot_move_a_policy():
    with pytest.raises(UsageError, match="the same for all answers"):
        softmax_policy([1.0, 1.0, 2.0, 2.0], [0, 0, 1, 1], 0.1)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_best_of_n_is_the_enumeration_of_all_draws(n):
    reward, base = np.array([0.3, -1.0, 0.3, 2.0]), np.array([0.1, 0.4, 0.3, 0.2])
    chance = np.zeros(4)
    for drawn in product(range(4), repeat=n):
        best = np.flatnonzero(reward == max(reward[list(drawn)]))
        chance[best] += np.prod(base[list(drawn)]) * base[best] / base[best].sum()
    policy = best_of_n_policy(reward, ["q"] * 4, n, base=10 * base)
    assert policy.probability == pytest.approx(chance, abs=1e-12)
    assert policy.kl[0] == pytest.approx((chance * np.log(chance / base)).sum(), abs=1e-12)
    assert policy.kl[0] <= np.log(n) - (n - 1) / n + 1e-12


def test_best_of_n_treats_every_prompt_on_its_own():
    reward, prompt = [5.0, 0.0, 1.0, 1.0], ["b", "a", "b", "a"]
    policy = best_of_n_policy(torch.tensor(reward), prompt, 2)
    assert policy.probability == pytest.approx([0.75, 0.25, 0.25, 0.75])
    assert policy.value([1.0, 0.5, 0.0, 0.5]) == pytest.approx([0.5, 0.75])  # prompts a, b


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reward": [0.0, float("nan")]}, "reward of answer 2 is nan"),
        ({"reward": [0.0]}, "one number for each of the 2 answers"),
        ({"reward": ["good", "bad"]}, "one number for each of the 2 answers"),
        ({"base": [1.0, 0.0]}, "answer 2 has 0"),
        ({"prompt": []}, "the id of the prompt"),
        ({"kl": -0.1}, "0 or more"),
        ({"kl": float("nan")}, "0 or more"),
    ],
)
def test_wrong_input_says_what_is_expected(given, message):
    with pytest.raises(UsageError, match=message):
        softmax_policy(**{"reward": [0.0, 1.0], "prompt": [0, 0], "kl": 0.1, **given})


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_n_is_a_whole_number_from_one(n):
    with pytest.raises(UsageError, match="whole number of answers from 1"):
        best_of_n_policy([0.0, 1.0], [0, 0], n)


def test_quality_of_another_length_is_refused():
    with pytest.raises(UsageError, match="quality holds one number for each of the 2 answers"):
        best_of_n_policy([0.0, 1.0], [0, 0], 2).value([1.0])
