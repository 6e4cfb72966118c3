"""Users who differ: intercepts in what they say and in who reacts, and folds by prompt and user."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from trueward.core.influence import auroc_influence
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.outcome_counts import OutcomeCounts
from trueward.estimation.selection_models import fit_selection_models
from trueward.estimation.user_intercepts import UserIntercepts, UserPrior, UserRows
from trueward.fitting.fit import fit
from trueward.fitting.folds import Folds
from trueward.training.problem import with_user_offset

USERS = 80


def log(leniency, seed=0, n=1600):
    """Each prompt has one user; P(up) = sigmoid(x_0 + leniency_u), and lenient users ask for low x_0."""
    g = torch.Generator().manual_seed(seed)
    user = torch.randint(USERS, (n,), generator=g)
    taste = torch.randn(USERS, generator=g)
    x = torch.randn(n, 5, generator=g)
    x[:, 0] += 0.7 * taste[user]
    lenient = leniency * (-0.7 * taste + 0.71 * torch.randn(USERS, generator=g))
    up = (torch.rand(n, generator=g) < torch.sigmoid(x[:, 0] + lenient[user])).float()
    o = (torch.rand(n, generator=g) < 0.5).float()
    return Feedback(x, up * o, o, group=torch.arange(n), user=user)


def agreement(model):
    """Spearman's correlation with x_0, on rows of new users."""
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(9))
    s = model.score_features(x).reward.cpu()
    ranks = torch.stack([s.argsort().argsort(), x[:, 0].argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def test_the_leniency_of_users_does_not_reach_the_reward():
    train, val = log(2.0).split(0.2)
    off, auto = (fit("naive", train, val, users=mode, epochs=12) for mode in ("off", "auto"))
    found = auto.report["users"]["ratings"]
    assert found["used"]
    assert found["tau"] >= 1  # true 2; the grid has 1.5 and 2
    assert 40 < found["effective_users"] <= USERS
    assert "users" not in off.report
    # the user-free correlation of this network is .95 and more; leniency against x_0 takes half of it
    assert agreement(auto) > agreement(off) + 0.1


def lenient_where_tasks_are_hard(users, per=20, d=30):
    """A log whose users are lenient where their tasks are hard; 4,000 rows of new users with true labels."""
    rng = np.random.default_rng(0)
    n = users * per
    w = 0.3 * np.random.default_rng(1).normal(size=d)
    taste = 0.5 * rng.normal(size=(users, d))
    user = np.repeat(np.arange(users), per)
    x = rng.normal(size=(n, d)) + taste[user]
    good = rng.random(n) < expit(x @ w)
    lenient = 1.5 * rng.normal(size=users) - 2 * taste @ w
    up = rng.random(n) < expit(1.5 * (2 * good - 1) + lenient[user])
    x_new = rng.normal(size=(4000, d)) + 0.5 * rng.normal(size=(4000, d))
    new = (rng.random(4000) < expit(x_new @ w)).astype(float)
    rows = [torch.as_tensor(v, dtype=torch.float32) for v in (x, up, np.ones(n), x_new)]
    data = Feedback(*rows[:3], group=torch.arange(n), user=torch.as_tensor(user))
    return data, rows[3], new


def test_leniency_along_what_users_ask_costs_the_ranking_without_intercepts():
    data, x, good = lenient_where_tasks_are_hard(200)
    train, val = data.split(0.2)
    found = {}
    for mode in ("off", "auto"):
        s = fit("naive", train, val, users=mode).score_features(x).reward.double().numpy()
        found[mode] = auroc_influence(s, good).theta
    # logistic regressions have .545 without intercepts and .779 with them, w itself .808; networks less
    assert found["off"] < 0.6
    assert found["auto"] > 0.7


def test_users_who_do_not_differ_change_nothing():
    train, val = log(0.0).split(0.2)
    off, auto = (fit("naive", train, val, users=mode, epochs=3) for mode in ("off", "auto"))
    assert not auto.report["users"]["ratings"]["used"]
    assert "do not differ" in auto.report["users"]["ratings"]["why"]
    x = train.x[:50]
    assert auto.score_features(x).reward.equal(off.score_features(x).reward)


def test_nuisances_are_those_of_a_typical_user_and_report_tau():
    train, val = log(2.0).split(0.2)
    model = fit("three_outcome", train, val, nuisance_epochs=2, epochs=2)
    noisy, responds = (model.report["nuisances"][k] for k in ("noisy", "responds"))
    assert noisy["tau"] >= 1
    assert "tau" not in responds  # users do not differ in who reacts
    assert model.report["users"]["folds"] == "by prompt and user"


def test_a_log_without_user_ids_has_no_report_of_users():
    train, val = replace(log(2.0), user=None).split(0.2)
    assert "users" not in fit("naive", train, val, epochs=1).report


@pytest.mark.parametrize("bots", [0, 4])
def test_tau_is_that_of_most_users_in_spite_of_bots(bots):
    rng = np.random.default_rng(0)
    user = rng.integers(100, size=3000)
    up = (rng.random(3000) < 0.5).astype(float)
    up[user < bots] = 0.0
    rows = UserRows(np.ones((3000, 1)), up, user, np.ones(3000), 100)
    found = UserIntercepts.fit(rows, np.array([0.01]), np.zeros(1))
    assert found.prior.tau <= 0.15  # all users but the bots say up with P = 1/2
    assert found.evident == (bots > 0)
    assert (found.intercept[:bots] < -2.5).all()
    assert np.abs(found.intercept[bots:]).max() < 0.6


def test_the_posterior_of_an_intercept_is_that_of_the_mixture():
    # z = 1 with variance 1: N(0, 1) gives mean 1/2; a share of 0 leaves the wide part out
    share, log_density = UserPrior(1.0, 0.0).posterior(np.array([1.0]), np.array([1.0]))
    assert share[0] == pytest.approx(0.5)
    assert log_density[0] == pytest.approx(-0.5 * np.log(4 * np.pi) - 0.25)


def test_an_offset_is_added_to_the_reward_of_each_member_and_to_no_other_head():
    out = Columns(reward=torch.zeros(2), other=torch.zeros(2))
    b = Feedback(
        torch.zeros(2, 1), torch.zeros(2), eta=Columns(user_offset=torch.tensor([[1.0, 2], [3, 4]]))
    )
    added = with_user_offset(out, b, 1)
    assert added.reward.tolist() == [2.0, 4.0]
    assert added.other.tolist() == [0.0, 0.0]


def test_who_reacts_much_does_not_look_like_selection_by_quality():
    """Users with many ratings ask easy questions; given the user, who reacts owes nothing to the label."""
    rng = np.random.default_rng(3)
    user = rng.integers(40, size=3000)
    easy = rng.normal(size=40)
    q = 0.5 * rng.normal(size=3000) + easy[user]
    reacting = 1.5 * easy[user]
    rated = (rng.random(3000) < expit(reacting - 1)).astype(float)
    up = (rng.random(3000) < expit(q)).astype(float)
    p = np.full(3000, -1.0) + 0.01 * rng.normal(size=3000)
    strength = {}
    for name, given in (("blind", {}), ("with users", {"reacting": reacting})):
        counts = OutcomeCounts.of(q, p, up, rated, np.ones(3000), None, **given)
        models = {m.name: m for m in fit_selection_models(counts, 0.0, 0.0, ())}
        label, at_random = models["by_label"], models["at_random"]
        strength[name] = label.strength()[0], label.log_evidence - at_random.log_evidence
    assert strength["blind"][0] > 1
    assert strength["blind"][1] > 10  # nats for selection by the label
    assert abs(strength["with users"][0]) < 0.6
    assert strength["with users"][1] < 1


def test_leniency_moves_the_odds_of_up_and_down_and_not_the_chance_of_a_rating():
    # P(up), P(down) = .3, .1 of a typical user; lenient = log 2 doubles the odds: 6/7 and 1/7 of .4
    q, counts = np.zeros(400), np.array([0.3, 0.1])
    up, down = 0.4 * np.array([6 / 7, 1 / 7])
    assert up + down == pytest.approx(counts.sum())
    assert up / down == pytest.approx(2 * counts[0] / counts[1])
    rated = np.repeat([1.0, 0.0], 200)
    ups = np.concatenate([np.repeat([1.0, 0.0], [150, 50]), np.zeros(200)])
    level = {}
    for lenient in (0.0, np.log(2)):
        given = {"lenient": np.full(400, lenient)} if lenient else {}
        data = OutcomeCounts.of(q, np.zeros(400), ups, rated, np.ones(400), None, **given)
        model = fit_selection_models(data, 0.0, 0.0, ())[0]
        level[lenient] = model.parameters[0]
    # three quarters are up: log 3 of lenient users is log 3/2 of a typical one, both shrunk towards 0
    assert level[np.log(2)] < level[0.0] - 0.4


def users_of(user, group):
    n = len(user)
    return Feedback(
        torch.zeros(n, 1), torch.zeros(n), group=torch.tensor(group), user=torch.tensor(user)
    )


def test_neither_a_prompt_nor_a_user_is_in_two_folds_where_components_are_small():
    user, group = [k // 6 for k in range(240)], [k // 3 for k in range(240)]
    found = Folds.of(users_of(user, group), 5, seed=1, by_user=True)
    assert found.why == "by prompt and user"
    for ids in (user, group):
        assert len({(i, int(f)) for i, f in zip(ids, found.fold, strict=True)}) == len(set(ids))
    assert found.fold.bincount().tolist() == [48] * 5


def test_prompts_that_all_users_share_give_folds_by_prompt():
    user, group = [k % 6 for k in range(60)], [k // 6 for k in range(60)]
    found = Folds.of(users_of(user, group), 5, seed=1, by_user=True)
    assert found.why.startswith("by prompt only")
    assert len({(i, int(f)) for i, f in zip(group, found.fold, strict=True)}) == 10


def test_unknown_users_connect_no_prompts():
    data = users_of([-1] * 20 + list(range(20)), list(range(40)))
    assert Folds.of(data, 4, seed=0, by_user=True).why == "by prompt and user"
