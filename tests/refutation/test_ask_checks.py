"""The check of a lottery's arms: the asked and the others differ unless feedback is missing at random."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trueward import refute
from trueward.data.feedback import Columns, Feedback
from trueward.refutation.ask_checks import arms_test
from trueward.refutation.refit_checks import permuted
from trueward.refutation.trial import NotApplicableError


def log(ratio, n=6000, seed=0, share=0.3):
    """60 % of the asked and 5 % of the others react, good responses at an odds ratio; looks matter, too."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6))
    good = rng.random(n) < 1 / (1 + np.exp(-1.5 * x[:, 0]))
    asked = rng.random(n) < share
    h = np.where(asked, 0.4, -3.0) + 0.6 * x[:, 1] + np.log(ratio) * (good - 0.5)
    reacts = rng.random(n) < 1 / (1 + np.exp(-h))
    x, good, asked, reacts = (
        torch.from_numpy(v.astype(np.float32)) for v in (x, good, asked, reacts)
    )
    asks = Columns(asked=asked, p_ask=torch.full((n,), share), seen=asked)
    return Feedback(x, good * reacts, reacts, group=torch.arange(n) // 3, asks=asks)


def only(method, data):
    return refute(method, data, only=["asked_arms"]).checks[0]


@pytest.mark.parametrize("ratio", [4.0, 0.25])
def test_selection_by_quality_refutes_missing_at_random(ratio):
    """Where good answers react more, those who are not asked give more thumbs up than the asked."""
    check = only("naive", log(ratio))
    assert check.passed is False
    assert check.found > check.limit == pytest.approx(2.58, abs=0.02)
    assert ("less often" if ratio > 1 else "more often") in check.sentence
    assert "naive takes feedback as missing at random" in check.sentence


def test_the_same_thumbs_in_both_arms_pass_and_prove_nothing():
    check = only("naive", log(1.0))
    assert check.passed
    assert "no evidence that feedback is missing at random" in check.sentence


def test_methods_that_model_who_reacts_are_not_refuted():
    check = only("three_outcome", log(4.0))
    assert check.passed is None
    assert "does not take feedback as missing at random" in check.sentence
    assert "(p = " in check.sentence


def test_without_a_lottery_or_with_few_answers_it_does_not_apply():
    data = log(4.0, n=600)
    assert "no lottery of asks" in only("naive", replace(data, asks=Columns())).sentence
    few = replace(
        data, o=data.o * (torch.rand(600, generator=torch.Generator().manual_seed(0)) < 0.2)
    )
    few = replace(few, y=few.y * few.o)
    with pytest.raises(
        NotApplicableError, match=r"need 10 good and 10 bad ratings each, and one has \d"
    ):
        arms_test(few, 0)


def test_a_permutation_moves_the_asks_with_the_feedback():
    """Else nobody would seem to answer more often when asked. Gold labels on the silent stay on these."""
    data = log(4.0, n=600)
    silent = (data.asks.asked > 0) & (data.o == 0)
    gold = torch.where(silent, 1.0, torch.nan)
    moved = permuted(replace(data, gold=gold), torch.Generator().manual_seed(0))
    for one in (data, moved):
        assert one.o[one.asks.asked > 0].mean() == data.o[data.asks.asked > 0].mean()
    assert torch.equal(~moved.gold.isnan(), (moved.asks.asked > 0) & (moved.o == 0))
    assert not torch.equal(moved.o, data.o)


def test_who_did_not_see_the_question_is_left_out():
    """Questions that were missed and answered by nobody change nothing."""
    data = log(4.0)
    missed = (torch.arange(6000) % 4 == 0) & (data.asks.asked > 0)
    seen = torch.where(missed, 0.0, data.asks.seen)
    kept = data[(~missed).nonzero().squeeze(-1)]
    marked = replace(data, asks=data.asks | {"seen": seen})
    assert arms_test(marked, 0).difference == pytest.approx(arms_test(kept, 0).difference, abs=0.02)
