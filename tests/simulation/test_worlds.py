"""Simulated logs: propensities, label noise, columns of the log, and the separate truth."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from trueward.core.errors import TruewardError, UsageError
from trueward.simulation import MECHANISMS, PREDICTIONS, simulate, water_fill
from trueward.simulation.mechanisms import mechanism_named
from trueward.simulation.propensity import logistic_fill
from trueward.simulation.reactions import flip_rates, flips
from trueward.simulation.selection import LogRows

SHARES = (0.04, 0.065, 0.20, 0.41, 0.285)  # of the ratings 0 to 4, n = 1000 rows


def rows_of(ratings):
    """Rated rows on 200 prompts or fewer, all different."""
    n = len(ratings)
    return pl.DataFrame(
        {
            "prompt": [f"question {i % max(2, n // 5)}" for i in range(n)],
            "response": [f"answer {i}{'!' * (i % 7)}" for i in range(n)],
            "rating": list(ratings),
        }
    )


@pytest.fixture(scope="module")
def rated():
    return rows_of(np.random.default_rng(0).choice(5, size=2000, p=SHARES).tolist())


def graded():
    """The 1000 rows of the reference shares, on [1, 5]."""
    rating = np.repeat(np.arange(5), np.round(1000 * np.array(SHARES)).astype(int)) + 1.0
    return LogRows(rating, (rating > 3).astype(float), lambda: np.zeros((1000, 1)), np.arange(1000))


def chance_by_rating(alpha, rate):
    r = graded()
    p = MECHANISMS["rating"](r, alpha, rate, np.random.default_rng(0)).propensity
    return r, p, [p[r.rating == k].mean() for k in range(1, 6)]


# --- water-filling -------------------------------------------------------------------------------


def test_the_heaviest_row_saturates_and_the_others_share_the_rest():
    # Half of 4 rows is 2: k = 2/13 would give the first 20/13 > 1, so it is 1 and k = 1/3.
    np.testing.assert_allclose(water_fill(np.array([10.0, 1, 1, 1]), 0.5), [1, 1 / 3, 1 / 3, 1 / 3])


def test_no_row_saturates_when_none_needs_to():
    np.testing.assert_allclose(water_fill(np.array([1.0, 2, 5]), 0.2), [0.075, 0.15, 0.375])


def test_a_rate_of_one_takes_every_row():
    np.testing.assert_array_equal(water_fill(np.array([1e-9, 3.0, 2.0]), 1.0), [1, 1, 1])


@pytest.mark.parametrize("seed", range(20))
def test_water_filling_keeps_the_rate_the_order_and_the_bound(seed):
    rng = np.random.default_rng(seed)
    w = np.exp(rng.normal(0, 3, size=int(rng.integers(1, 200))))
    rate = float(rng.uniform(0.01, 1))
    p = water_fill(w, rate)
    assert p.max() <= 1
    assert p.mean() == pytest.approx(rate, abs=1e-9)
    below = p < 1
    if below.any():  # min(1, k w) with one k
        k = p[below] / w[below]
        np.testing.assert_allclose(k, k[0], rtol=1e-9)
        assert (k[0] * w[~below] >= 1 - 1e-9).all()


@pytest.mark.parametrize(
    ("weights", "rate"),
    [([1.0, 0.0, 0.0], 0.5), ([1.0, -1.0], 0.5), ([1.0, np.nan], 0.5), ([1.0], 0.0), ([1.0], 1.5)],
)
def test_weights_that_cannot_reach_the_rate_are_an_error(weights, rate):
    with pytest.raises(UsageError):
        water_fill(np.array(weights), rate)


def test_logistic_filling_adds_one_constant_to_the_log_odds():
    # a = 0 gives 1/2 and 3/4, of mean 5/8.
    score = np.array([0.0, np.log(3)])
    np.testing.assert_allclose(logistic_fill(score, 5 / 8), [1 / 2, 3 / 4], atol=1e-9)
    np.testing.assert_allclose(logistic_fill(score + 700, 5 / 8), [1 / 2, 3 / 4], atol=1e-9)
    np.testing.assert_array_equal(logistic_fill(score, 1.0), [1, 1])
    np.testing.assert_allclose(logistic_fill(np.zeros(3), 0.2), 0.2)


# --- mechanisms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "rate", "expected", "ratio"),
    [
        (0.5, 0.2, (0.023, 0.045, 0.091, 0.182, 0.363), 3.6),
        (0.5, 0.5, (0.057, 0.114, 0.227, 0.454, 0.908), 3.6),
        (0.2, 0.2, (0.001, 0.004, 0.021, 0.107, 0.533), 18.8),
        (0.2, 0.5, (0.004, 0.019, 0.095, 0.475, 1.0), 10.3),
        (0.1, 0.2, (0.000, 0.001, 0.006, 0.061, 0.610), 69),
        (0.05, 0.2, (0.000, 0.000, 0.002, 0.033, 0.654), 264),
    ],
)
def test_the_reference_shares_give_the_reference_chances(alpha, rate, expected, ratio):
    r, p, by_rating = chance_by_rating(alpha, rate)
    np.testing.assert_allclose(by_rating, expected, atol=0.00051)
    found = p[r.label > 0].mean() / p[r.label == 0].mean()
    assert found == pytest.approx(ratio, rel=0.015)


def test_under_strong_selection_most_thumbs_down_are_wrong():
    r, p, _ = chance_by_rating(0.2, 0.2)
    bad = (p * (r.label == 0)).sum() * (1 - 0.2)
    wrong = (p * (r.label == 1)).sum() * 0.1
    assert bad / (bad + wrong) == pytest.approx(0.16, abs=0.005)


@pytest.mark.parametrize("name", sorted(MECHANISMS))
def test_every_mechanism_meets_its_rate_with_chances_of_at_most_one(name, rated):
    world = simulate(rated, mechanism=name, rate=0.3)
    p = world.truth["propensity"].to_numpy()
    assert p.min() >= 0
    assert p.max() <= 1
    first = "propensity.copy" if "propensity.copy" in world.truth.columns else "propensity"
    assert world.truth[first].mean() == pytest.approx(0.3)


def test_all_mechanisms_are_found_by_name_with_hyphens_or_underscores():
    assert set(MECHANISMS) == {
        "mcar", "rating", "annoyed", "u_shaped", "label", "mar", "context", "mar_z_confounded",
        "users", "idn", "implicit", "misclick", "scar", "mu_z", "mu_x", "two_channel", "channels",
        "channels_users", "label_and_looks", "looks_like_quality", "lenient", "lenient_topics",
        "busy", "bots", "asked", "battles", "regenerations",
    }  # fmt: skip
    assert mechanism_named("u-shaped") == mechanism_named("u_shaped") == "u_shaped"
    with pytest.raises(UsageError, match=r"no mechanism 'nonsense'.*mcar, rating"):
        mechanism_named("nonsense")


def test_alpha_one_is_no_selection(rated):
    for name in ("rating", "annoyed", "u_shaped", "label", "mar", "context", "mar_z_confounded",
                 "label_and_looks", "looks_like_quality"):  # fmt: skip
        p = simulate(rated, mechanism=name, alpha=1.0).truth["propensity"]
        np.testing.assert_allclose(p, 0.2)
    for name in ("misclick", "scar", "mu_z", "mu_x"):
        np.testing.assert_allclose(simulate(rated, mechanism=name, alpha=1.0).truth["mu"], 0.5)


def test_label_selection_has_two_chances_in_the_ratio_alpha_squared(rated):
    truth = simulate(rated, mechanism="label", alpha=0.5).truth
    m = truth.group_by("label").agg(pl.col("propensity").unique()).sort("label")["propensity"]
    (m_0,), (m_1,) = m.to_list()
    assert m_0 == pytest.approx(0.25 * m_1)


def test_signs_of_the_selections_on_ratings(rated):
    def mean_chances(name):
        truth = simulate(rated, mechanism=name, rate=0.1).truth
        return (
            truth.group_by("rating")
            .agg(pl.col("propensity").mean())
            .sort("rating")["propensity"]
            .to_list()
        )

    liked, annoyed, strong = (mean_chances(m) for m in ("rating", "annoyed", "u_shaped"))
    np.testing.assert_allclose(np.divide(liked[1:], liked[:-1]), 2)
    np.testing.assert_allclose(np.divide(annoyed[1:], annoyed[:-1]), 0.5)
    np.testing.assert_allclose(np.array(strong) / strong[2], [4, 2, 1, 2, 4])


def test_selection_depends_only_on_the_logged_context(rated):
    world = simulate(rated, mechanism="context", alpha=0.5)
    assert world.log.schema["context.device"] == pl.String
    assert world.log.schema["context.position"] == pl.Float64
    both = world.log.hstack(world.truth)
    cost = both["context.device"].replace_strict({"desktop": 0.0, "tablet": 1.0, "phone": 2.0})
    k = both["propensity"] / 0.5 ** (cost + (both["context.position"] - 1) / 2)
    np.testing.assert_allclose(k, k[0])


def test_mar_depends_only_on_the_features(rated):
    x = np.zeros((2000, 2))
    x[:, 0] = np.arange(2000)  # the second column is constant and left out
    truth = simulate(rated, mechanism="mar", alpha=0.5, features=x).truth
    row = truth.select(pl.col("propensity").log()).to_numpy().ravel()
    steps = np.diff(row)
    assert (steps > 0).all() or (steps < 0).all()
    own = simulate(rated, mechanism="mar", alpha=0.5).truth["propensity"]
    assert own.n_unique() > 10


# --- noise ---------------------------------------------------------------------------------------


def test_flips_meet_their_rates_on_observed_rows_only():
    rng = np.random.default_rng(1)
    label, observed = (rng.random(100_000) < 0.6) * 1.0, rng.random(100_000) < 0.5
    flipped = flips(flip_rates(label, 0.1, 0.25), observed, np.random.default_rng(2))
    assert not flipped[~observed].any()
    assert flipped[observed & (label == 1)].mean() == pytest.approx(0.1, abs=0.006)
    assert flipped[observed & (label == 0)].mean() == pytest.approx(0.25, abs=0.01)


def test_weighted_flips_keep_the_rate_of_each_class():
    # Weights 1 and 3 with the mean rate .2 are .1 and .3; a class without noise keeps none.
    rates = flip_rates(np.array([1.0, 1, 0, 0]), 0.2, 0.0, np.array([1.0, 3, 1, 9]))
    np.testing.assert_allclose(rates, [0.1, 0.3, 0, 0])
    # 1 and 9 with the mean .6: the second saturates, the first has the rest.
    rates = flip_rates(np.array([1.0, 0, 0, 1]), 0.6, 0.1, np.array([1.0, 2, 2, 9]))
    np.testing.assert_allclose(rates, [0.2, 0.1, 0.1, 1])


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.9, 0.2), (-0.1, 0.0), (0.0, 1.0)])
def test_noise_rates_with_a_sum_of_one_are_an_error(a, b, rated):
    with pytest.raises(UsageError, match="rho_01"):
        simulate(rated, rho_01=a, rho_10=b)


# --- context that knows the prompt, users, noise that depends on x ---------------------------------


def test_the_confounded_context_determines_selection_and_depends_on_the_label():
    # One prompt in four has bad responses only; the others have the usual mix.
    rng = np.random.default_rng(1)
    ratings = [
        int(rng.integers(0, 2)) if i % 1000 < 250 else int(rng.integers(1, 5)) for i in range(5000)
    ]
    world = simulate(rows_of(ratings), mechanism="mar_z_confounded", alpha=0.5, rate=0.1)
    both = world.log.hstack(world.truth)
    hard = (both["context.prompt_type"] == "hard").to_numpy()
    score = both["context.dwell"].to_numpy() - 2.0 * hard
    p = both["propensity"].to_numpy()
    free = p < 1
    assert free.mean() > 0.95
    k = p[free] / 2.0 ** score[free]
    np.testing.assert_allclose(k, k[0])  # given z nothing else plays a part
    per_prompt = both.group_by("prompt").agg(pl.col("context.prompt_type").n_unique())
    assert per_prompt["context.prompt_type"].max() == 1
    label = both["label"].to_numpy()
    assert hard[label == 0].mean() > hard[label == 1].mean() + 0.2
    assert world.scenario["realised"]["m_1/m_0"] > 1.2
    assert both["context.dwell"].std() == pytest.approx(1, abs=0.1)


def test_users_change_propensity_and_opinion_but_not_the_label(rated):
    world = simulate(rated, mechanism="users", alpha=0.5, rate=0.3)
    log, truth = world.log, world.truth
    p, b = truth["propensity"].to_numpy(), truth["user_effect"].to_numpy()
    # odds = k alpha^(5 - rating') e^b, and the rating' of 0 to 4 is 1 to 5
    odds = p / (1 - p) / 0.5 ** (4 - truth["rating"].to_numpy()) / np.exp(b)
    np.testing.assert_allclose(odds, odds[0])
    assert p.mean() == pytest.approx(0.3)
    assert truth["label"].to_list() == [float(r > 2) for r in truth["rating"]]
    # the best bad response has 3, the worst good one 4
    said = (truth["rating"] + 1 > 3.5 + truth["leniency"]).cast(pl.Float64)
    assert_series_equal(truth["opinion"], said, check_names=False)
    seen = truth["observed"] == 1
    assert_series_equal(log["feedback"].filter(seen), said.filter(seen), check_names=False)
    assert_series_equal(log["feedback"].is_not_null(), seen, check_names=False)
    wrong = (seen & (said != truth["label"])).cast(pl.Float64)
    assert_series_equal(truth["flipped"], wrong, check_names=False)
    real = world.scenario["realised"]
    assert real["opinion_differs"] == pytest.approx((said != truth["label"]).mean())
    assert real["rho_01"] == pytest.approx(wrong.filter(seen & (truth["label"] == 1)).mean())


def test_a_user_asks_whole_prompts_and_has_one_effect(rated):
    world = simulate(rated, mechanism="users")
    both = world.log.hstack(world.truth)
    assert both.group_by("prompt").agg(pl.col("user_id").n_unique())["user_id"].max() == 1
    effects = both.group_by("user_id").agg(pl.col("user_effect", "leniency").n_unique())
    assert effects.select(pl.max("user_effect", "leniency")).row(0) == (1, 1)
    users = both["user_id"].n_unique()
    assert world.scenario["realised"]["users"] == users
    assert 25 <= users <= 32  # 320 prompts, ten each, and some users with none


def test_user_effects_are_standard_normal_and_leniency_half_the_spread_of_the_ratings():
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    truth = simulate(big, mechanism="users").truth
    each = truth.unique("user_effect")
    assert len(each) > 250
    assert each["user_effect"].mean() == pytest.approx(0, abs=0.2)
    assert each["user_effect"].std() == pytest.approx(1, abs=0.15)
    assert each["leniency"].std() == pytest.approx(truth["rating"].std() / 2, rel=0.15)


def test_noise_of_users_comes_on_top_of_their_opinion(rated):
    quiet = simulate(rated, mechanism="users", rate=0.5)
    loud = simulate(rated, mechanism="users", rate=0.5, rho_01=0.1, rho_10=0.2)
    same = ["label", "propensity", "user_effect", "leniency", "opinion", "observed"]
    assert_frame_equal(quiet.truth.select(same), loud.truth.select(same))
    assert_series_equal(quiet.log["user_id"], loud.log["user_id"])
    seen = loud.truth["observed"] == 1
    turned = (loud.log["feedback"] != loud.truth["opinion"]).filter(seen)
    assert turned.mean() == pytest.approx(0.12, abs=0.03)


def of_users(mechanism, **more):
    """A log of 5,000 prompts with the truth, and a feature that half tells the quality."""
    rng = np.random.default_rng(4)
    ratings = rng.choice(5, size=20_000, p=SHARES)
    x = (ratings + 2 * rng.standard_normal(20_000))[:, None]
    options = {"rate": 0.3, "features": x, **more}
    world = simulate(rows_of(ratings.tolist()), mechanism=mechanism, **options)
    return world.log.hstack(world.truth)


def test_lenient_users_say_good_more_often_of_the_same_answers():
    each = of_users("lenient")
    assert each.unique("user_id")["leniency"].std() == pytest.approx(1, abs=0.15)
    odds = np.log(1 / 0.5 - 1) + 3 * (each["label"] - 0.5) + each["leniency"]
    # 16,000 opinions: a standard error of .004
    assert each["opinion"].mean() == pytest.approx((1 / (1 + np.exp(-odds))).mean(), abs=0.015)
    assert abs(np.corrcoef(each["label"], each["leniency"])[0, 1]) < 0.03


def test_leniency_goes_along_with_what_users_ask():
    users = (
        of_users("lenient_topics")
        .group_by("user_id")
        .agg(pl.col("leniency").first(), pl.col("label").mean())
    )
    # -.7 with how good the answers look; less with how good they are
    assert np.corrcoef(users["leniency"], users["label"])[0, 1] < -0.35


def test_busy_users_are_few():
    rows = of_users("busy").group_by("user_id").len().sort("len", descending=True)["len"]
    # Zipf over 328 users: the first has 1 / sum(1/k) = 15.7 % of the rows
    assert rows[0] / rows.sum() == pytest.approx(0.15, abs=0.02)


def test_bots_rate_a_tenth_of_the_answers_good():
    each = of_users("bots")
    bot = each.filter(pl.col("bot") == 1)
    users = each["prompt_id"].n_unique() // 10
    assert bot["user_id"].n_unique() == round(0.02 * users)
    assert len(bot) / len(each) == pytest.approx(0.1, abs=0.015)
    assert bot["observed"].mean() > 0.95
    assert bot["opinion"].min() == 1
    assert each["propensity"].mean() == pytest.approx(0.3)


def test_noise_that_depends_on_x_keeps_the_mean_of_each_class(rated):
    x = np.random.default_rng(5).normal(size=(2000, 1))
    world = simulate(rated, mechanism="idn", rho_01=0.1, rho_10=0.2, features=x)
    truth = world.truth
    mean = truth.group_by("label").agg(pl.col("flip_rate").mean()).sort("label")
    np.testing.assert_allclose(mean["flip_rate"], [0.2, 0.1])
    # With one feature the fit of the rating is that feature, up to its sign.
    at = {f"answer {i}{'!' * (i % 7)}": x[i, 0] for i in range(2000)}
    u = np.array([at[a] for a in world.log["response"]])
    u = (u - u.mean()) / u.std()
    k = truth["flip_rate"].to_numpy() * (1 + np.exp(np.abs(u))) / 2
    for label in (0, 1):
        of = k[truth["label"].to_numpy() == label]
        np.testing.assert_allclose(of, of[0])
    plain = simulate(rated, mechanism="rating", rho_01=0.1, rho_10=0.2, features=x).truth
    assert_frame_equal(truth.select("propensity", "observed"), plain["propensity", "observed"])
    assert world.scenario["realised"]["max_flip_rate"] == truth["flip_rate"].max()
    assert 0.2 < truth["flip_rate"].max() < 0.5


def test_flips_follow_the_rate_of_their_row():
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    truth = simulate(big, mechanism="idn", rate=1, rho_01=0.2, rho_10=0.2).truth
    assert truth["observed"].min() == 1
    assert truth["flipped"].mean() == pytest.approx(0.2, abs=0.01)
    often = truth["flip_rate"] > truth["flip_rate"].median()
    for half in (truth.filter(often), truth.filter(~often)):
        assert half["flipped"].mean() == pytest.approx(half["flip_rate"].mean(), abs=0.015)


# --- clicks --------------------------------------------------------------------------------------


def test_misclicks_remove_and_add_clicks_at_their_rates():
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    world = simulate(big, mechanism="misclick", rho_01=0.3, rho_10=0.1)
    truth, log = world.truth, world.log
    meant = truth["label"] * truth["activity"]
    y = log["feedback"].fill_null(0.0)
    assert log["feedback"].drop_nulls().unique().to_list() == [1.0]
    assert y.filter(meant == 1).mean() == pytest.approx(0.7, abs=0.015)
    assert y.filter(meant == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert y.filter(truth["label"] == 0).mean() == pytest.approx(0.1, abs=0.015)
    assert_series_equal((y != meant).cast(pl.Float64), truth["flipped"], check_names=False)
    assert_series_equal(y, truth["observed"], check_names=False)
    real = world.scenario["realised"]
    assert real["rho_01"] == pytest.approx(1 - y.filter(meant == 1).mean())
    assert real["rho_10"] == pytest.approx(y.filter(meant == 0).mean())


def test_without_misclicks_the_log_is_that_of_implicit(rated):
    quiet, plain = (simulate(rated, mechanism=m) for m in ("misclick", "implicit"))
    assert_frame_equal(quiet.log, plain.log)
    assert_frame_equal(quiet.truth, plain.truth)
    loud = simulate(rated, mechanism="misclick", rho_01=0.2, rho_10=0.1)
    same = ["propensity", "mu", "activity"]
    assert_frame_equal(quiet.truth.select(same), loud.truth.select(same))


def test_under_scar_every_good_response_is_clicked_alike(rated):
    world = simulate(rated, mechanism="scar", rate=0.4)
    truth = world.truth
    assert truth["mu"].unique().to_list() == [0.4]
    assert_series_equal(truth["label"] * truth["activity"], truth["observed"], check_names=False)
    other = simulate(rated, mechanism="scar", rate=0.4, alpha=0.1)
    assert_frame_equal(world.log, other.log)


def test_mu_z_is_logistic_and_independent_of_the_label():
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    world = simulate(big, mechanism="mu_z", alpha=0.5, rate=0.4)
    both = world.log.hstack(world.truth)
    device = both["context.device"].replace_strict({"desktop": 0.0, "tablet": 1.0, "phone": 2.0})
    cost = device + (both["context.position"] - 1) / 2
    odds = (both["mu"] / (1 - both["mu"]) * 2**cost).to_numpy()  # k 2^-cost
    np.testing.assert_allclose(odds, odds[0])
    assert both["mu"].mean() == pytest.approx(0.4)
    assert world.scenario["realised"]["mean_mu"] == pytest.approx(0.4)
    assert world.scenario["realised"]["m_1/m_0"] == pytest.approx(1, abs=0.02)
    clicked = both["label"] * both["activity"]
    assert_series_equal(both["feedback"].fill_null(0.0), clicked, check_names=False)


def test_mu_x_correlates_with_quality(rated):
    x = np.random.default_rng(5).normal(size=(2000, 1)) + rated["rating"].to_numpy()[:, None]
    world = simulate(rated, mechanism="mu_x", alpha=0.5, rate=0.4, features=x)
    at = {f"answer {i}{'!' * (i % 7)}": x[i, 0] for i in range(2000)}
    u = np.array([at[a] for a in world.log["response"]])
    u = (u - u.mean()) / u.std()
    mu = world.truth["mu"].to_numpy()
    odds = mu / (1 - mu) / 2.0**u  # one feature: the fit, the random direction and their sum
    np.testing.assert_allclose(odds, odds[0])
    assert mu.mean() == pytest.approx(0.4)
    assert world.scenario["realised"]["m_1/m_0"] > 1.2
    many = np.random.default_rng(6).normal(size=(2000, 30)) + x
    truth = simulate(rated, mechanism="mu_x", features=many).truth
    assert np.corrcoef(truth["mu"], truth["rating"])[0, 1] > 0.2


def test_three_channels_begin_with_the_two(rated):
    three = simulate(rated, mechanism="channels", rate=0.4)
    two = simulate(rated, mechanism="two_channel", rate=0.4)
    both = ["propensity.copy", "activity.copy", "propensity.like", "activity.like"]
    assert_frame_equal(three.truth.select(both), two.truth.select(both))
    mu = {k: three.truth[f"propensity.{k}"] for k in ("copy", "like", "share")}
    real = three.scenario["realised"]
    for (k, of), mean in zip(mu.items(), (0.4, 0.2, 0.1), strict=True):
        assert of.mean() == pytest.approx(mean)
        assert real[f"mean_propensity.{k}"] == pytest.approx(mean)
        expected = three.truth["label"] * three.truth[f"activity.{k}"]
        assert_series_equal(three.log[f"channel.{k}"], expected, check_names=False)
    none = (1 - mu["copy"]) * (1 - mu["like"]) * (1 - mu["share"])
    np.testing.assert_allclose(three.truth["propensity"], 1 - none)


def test_user_effects_make_channels_dependent():
    ratings = np.random.default_rng(3).choice(5, size=20_000, p=SHARES)
    x = np.random.default_rng(4).normal(size=(20_000, 1))
    world = simulate(rows_of(ratings.tolist()), mechanism="channels_users", alpha=0.5, features=x)
    truth = world.truth
    at = {f"answer {i}{'!' * (i % 7)}": x[i, 0] for i in range(20_000)}
    u = np.array([at[a] for a in world.log["response"]])
    u = (u - u.mean()) / u.std()
    b = truth["user_effect"].to_numpy()
    for k in ("copy", "like", "share"):
        mu = truth[f"propensity.{k}"].to_numpy()
        score = np.log(mu / (1 - mu)) - b  # a_k +- log(2) u
        side = np.sign(np.corrcoef(score, u)[0, 1])
        rest = score - side * np.log(2) * u
        np.testing.assert_allclose(rest, rest[0], atol=1e-9)
    # given x, over users: cov(mu_copy, mu_like) > 0, which 4.3 needs to be 0
    alike = truth.filter(np.abs(u) < 0.2)
    a, c = alike["activity.copy"].to_numpy(), alike["activity.like"].to_numpy()
    assert np.cov(a, c)[0, 1] > 0.02
    free = simulate(rows_of(ratings.tolist()), mechanism="channels", alpha=0.5, features=x).truth
    alike = free.filter(np.abs(u) < 0.2)
    assert np.cov(alike["activity.copy"], alike["activity.like"])[0, 1] == pytest.approx(
        0, abs=0.012
    )
    assert world.log["user_id"].n_unique() == world.scenario["realised"]["users"]


@pytest.mark.parametrize("name", ["two_channel", "channels", "channels_users"])
def test_channels_have_no_label_noise(name, rated):
    with pytest.raises(UsageError, match="no label noise"):
        simulate(rated, mechanism=name, rho_10=0.1)


@pytest.mark.parametrize(
    "name", ["users", "channels_users", "mar_z_confounded", "mu_z", "lenient_topics", "bots"]
)
def test_users_and_context_do_not_depend_on_alpha(name, rated):
    one = simulate(rated, mechanism=name, alpha=0.5, rate=0.3, gold=30)
    two = simulate(rated, mechanism=name, alpha=0.2, rate=0.1, gold=60)
    kept = [c for c in one.log.columns if c == "user_id" or c.startswith("context.")]
    assert kept
    assert_frame_equal(one.log.select(kept), two.log.select(kept))
    assert_frame_equal(one.test, two.test)


# --- the world -----------------------------------------------------------------------------------


def test_the_log_is_the_truth_after_selection_and_noise(rated):
    world = simulate(rated, rho_01=0.1, rho_10=0.2, rate=0.5)
    log, truth = world.log, world.truth
    assert log.columns == ["prompt", "response", "prompt_id", "feedback"]
    assert len(log) == len(truth)
    quality = dict(rated.select("response", "rating").iter_rows())
    assert truth["rating"].to_list() == [quality[a] for a in log["response"]]
    assert truth["label"].to_list() == [float(r > 2) for r in truth["rating"]]
    assert_series_equal(log["feedback"].is_not_null(), truth["observed"] == 1, check_names=False)
    wrong = (log["feedback"] != truth["label"]).fill_null(value=False)
    assert_series_equal(wrong, truth["flipped"] == 1, check_names=False)
    assert truth["flipped"].sum() > 0


def test_the_test_set_is_clean_complete_and_of_other_prompts(rated):
    world = simulate(rated)
    assert world.test.columns == ["prompt", "response", "prompt_id", "label", "rating"]
    assert world.test.null_count().sum_horizontal().item() == 0
    assert not set(world.test["prompt"]) & set(world.log["prompt"])
    assert len(world.test) + len(world.log) == len(rated)
    assert world.scenario["test_prompts"] == round(0.2 * rated["prompt"].n_unique())
    assert world.test["label"].to_list() == [float(r > 2) for r in world.test["rating"]]


def test_one_text_under_two_ids_stays_on_one_side(rated):
    ids = rated.with_columns(pl.int_range(len(rated)).alias("prompt_id"))
    world = simulate(ids)
    assert not set(world.test["prompt"]) & set(world.log["prompt"])
    assert world.log.schema["prompt_id"] == pl.String


def test_the_streams_are_independent(rated):
    base = simulate(rated, rho_01=0.1, rho_10=0.1, gold=50, mechanism="context")
    noisier = simulate(rated, rho_01=0.2, rho_10=0.3, gold=50, mechanism="context")
    audited = simulate(rated, rho_01=0.1, rho_10=0.1, gold=90, mechanism="context")
    rarer = simulate(rated, rho_01=0.1, rho_10=0.1, gold=50, mechanism="context", rate=0.1)
    same = ["label", "rating", "propensity", "observed"]
    assert_frame_equal(base.truth.select(same), noisier.truth.select(same))
    assert_series_equal(base.log["gold"], noisier.log["gold"])
    assert_frame_equal(base.truth, audited.truth)
    assert_frame_equal(base.log.drop("gold"), audited.log.drop("gold"))
    assert_frame_equal(base.test, rarer.test)
    here = ["context.device", "context.position", "gold"]
    assert_frame_equal(base.log.select(here), rarer.log.select(here))
    both = (base.truth["observed"] == 1) & (rarer.truth["observed"] == 1)
    assert_series_equal(base.truth["flipped"].filter(both), rarer.truth["flipped"].filter(both))
    # More noise keeps the flips of less, and a larger audit the rows of a smaller.
    assert (noisier.truth["flipped"] >= base.truth["flipped"]).all()
    assert audited.log.filter(base.log["gold"].is_not_null())["gold"].null_count() == 0


def test_selection_and_noise_are_uncorrelated(rated):
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    truth = simulate(big, mechanism="mcar", rate=0.5, rho_01=0.3, rho_10=0.3).truth
    seen = truth.filter(pl.col("observed") == 1)
    assert seen["flipped"].mean() == pytest.approx(0.3, abs=0.015)


def test_the_seed_decides_everything(rated):
    one, again = (simulate(rated, gold=20, rho_01=0.1, seed=4) for _ in range(2))
    other = simulate(rated, gold=20, rho_01=0.1, seed=5)
    assert_frame_equal(one.log, again.log)
    assert one.scenario == again.scenario
    assert not one.log["prompt"].equals(other.log["prompt"])


def test_gold_is_drawn_uniformly_over_all_rows(rated):
    counts, share = np.zeros(2), []
    for seed in range(30):
        world = simulate(rated, gold=100, alpha=0.2, seed=seed)
        audited = world.log["gold"].is_not_null()
        assert audited.sum() == 100
        truth = world.truth.filter(audited)
        assert_series_equal(world.log["gold"].drop_nulls(), truth["label"], check_names=False)
        counts += [truth["observed"].sum(), 100]
        share.append(truth["label"].mean() - world.truth["label"].mean())
    # 3000 audited rows: a fifth of them rated, as of all rows, although the rated are much better.
    assert counts[0] / counts[1] == pytest.approx(0.2, abs=0.025)
    assert np.mean(share) == pytest.approx(0, abs=0.03)
    assert "gold" not in simulate(rated).log.columns


def test_a_log_of_clicks_has_no_zeros(rated):
    world = simulate(rated, mechanism="implicit")
    assert world.scenario["rate"] == 0.5
    assert world.log["feedback"].drop_nulls().unique().to_list() == [1.0]
    truth = world.truth
    assert_series_equal(truth["activity"] * truth["label"], truth["observed"], check_names=False)
    assert_series_equal(world.log["feedback"].fill_null(0.0), truth["observed"], check_names=False)
    assert truth["activity"].mean() == pytest.approx(0.5, abs=0.03)


def test_two_channels_are_independent_given_a_good_response(rated):
    big = rows_of(np.random.default_rng(3).choice(5, size=20_000, p=SHARES).tolist())
    world = simulate(big, mechanism="two-channel", rate=0.4, alpha=0.7)
    log, truth = world.log, world.truth
    assert "feedback" not in log.columns
    for k in ("copy", "like"):
        expected = truth["label"] * truth[f"activity.{k}"]
        assert_series_equal(log[f"channel.{k}"], expected, check_names=False)
    expected = (truth["propensity.copy"] * truth["propensity.like"]).mean()
    found = (truth["activity.copy"] * truth["activity.like"]).mean()
    assert found == pytest.approx(expected, abs=0.01)
    assert truth["propensity.like"].mean() == pytest.approx(0.2)
    with pytest.raises(UsageError, match="no label noise"):
        simulate(rated, mechanism="two_channel", rho_01=0.1)


def test_repeated_rows_are_averaged_and_counted(rated):
    again = rated.head(100).with_columns(pl.lit(0).alias("rating"))
    world = simulate(pl.concat([rated, again.cast(rated.schema)]))
    assert world.scenario["merged_duplicates"] == 100
    assert len(world.log) + len(world.test) == len(rated)
    quality = dict(rated.select("response", "rating").iter_rows())
    first = set(again["response"])
    for answer, rating in world.test.select("response", "rating").iter_rows():
        assert rating == quality[answer] / (2 if answer in first else 1)


def test_the_threshold_is_the_median_of_the_distinct_levels():
    # Levels 1, 2, 3 and 10 have the median 2.5, whatever their frequency.
    world = simulate(rows_of([1, 1, 1, 1, 2, 3, 10, 10] * 10))
    assert world.scenario["threshold"] == 2.5
    assert simulate(rows_of([1, 2, 3, 10] * 10), threshold=5).scenario["threshold"] == 5
    labels = rows_of([0.0, 1.0] * 20).rename({"rating": "label"})
    assert simulate(labels).truth["label"].to_list() == simulate(labels).truth["rating"].to_list()


def test_the_scenario_has_the_realised_rates(rated):
    scenario = simulate(rated, rho_01=0.1, rho_10=0.2).scenario
    real = scenario["realised"]
    assert real["mean_propensity"] == pytest.approx(0.2)
    assert real["rate"] == pytest.approx(0.2, abs=0.03)
    assert real["m_1/m_0"] == pytest.approx(3.6, abs=0.3)
    assert real["rho_01"] == pytest.approx(0.1, abs=0.05)
    assert scenario["mechanism"] == "rating"


# --- writing -------------------------------------------------------------------------------------


def test_a_world_is_written_and_replaced_atomically(rated, tmp_path):
    world = simulate(rated, gold=10)
    folder = world.write(tmp_path / "new" / "world")
    names = {p.name for p in folder.iterdir()}
    assert names == {"log.parquet", "test.parquet", "truth.parquet", "scenario.json"}
    assert_frame_equal(pl.read_parquet(folder / "log.parquet"), world.log)
    assert_frame_equal(pl.read_parquet(folder / "test.parquet"), world.test)
    assert_frame_equal(pl.read_parquet(folder / "truth.parquet"), world.truth)
    assert json.loads((folder / "scenario.json").read_text()) == world.scenario
    simulate(rated, seed=1).write(folder)
    assert json.loads((folder / "scenario.json").read_text())["seed"] == 1
    assert [p.name for p in folder.parent.iterdir()] == ["world"]


def test_a_folder_with_other_files_is_not_overwritten(rated, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TruewardError, match=r"notes\.txt"):
        simulate(rated).write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(TruewardError, match=r"notes\.txt"):
        simulate(rated).write(tmp_path / "notes.txt")


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mechanism": "nonsense"}, "no mechanism 'nonsense'"),
        ({"alpha": 0.0}, "alpha must lie in"),
        ({"alpha": 1.5}, "alpha must lie in"),
        ({"alpha": float("nan")}, "alpha must lie in"),
        ({"rate": 0.0}, "rate of feedback"),
        ({"rate": 1.1}, "rate of feedback"),
        ({"test_share": 1.0}, "test_share"),
        ({"gold": 100_000}, "gold=100000"),
        ({"gold": -1}, "gold=-1"),
    ],
)
def test_settings_out_of_range_are_errors(options, words, rated):
    with pytest.raises(UsageError, match=words):
        simulate(rated, **options)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (rows_of([1.0, 2, float("nan"), 4]), "row 3, column rating: expected a finite number"),
        (rows_of([1.0, float("inf"), 3, 4]), "row 2, column rating"),
        (rows_of([1, None, 3, 4]), "row 2, column rating"),
        (rows_of([2, 2, 2, 2]), "all 4 rows have the rating 2"),
        (rows_of([1, 2]).with_columns(prompt=pl.lit("a")), "at least 2 prompts"),
        (rows_of([1, 2]).drop("response"), "no response"),
        (rows_of([1, 2]).drop("rating"), r"no rating \(or label\)"),
        (rows_of([1, 2]).head(0), "no rows"),
        (rows_of([1, 2]).with_columns(rating=pl.lit("good")), "must hold numbers"),
        (rows_of([1, 2]).with_columns(prompt=pl.lit(3)), "column prompt must hold text"),
        (rows_of([0, 7]).rename({"rating": "label"}), "row 2, column label"),
    ],
)
def test_invalid_rated_tables_are_errors(frame, words):
    with pytest.raises(TruewardError, match=words):
        simulate(frame)


def test_a_threshold_with_one_class_is_an_error(rated):
    with pytest.raises(TruewardError, match="every response is bad"):
        simulate(rated, threshold=9)


def test_features_of_another_table_are_an_error(rated):
    with pytest.raises(TruewardError, match="one row for each of the 2000"):
        simulate(rated, mechanism="mar", features=np.zeros((3, 2)))
    x = np.ones((2000, 2))
    x[1, 0] = np.nan
    with pytest.raises(TruewardError, match="row 2 of the features"):
        simulate(rated, mechanism="mar", features=x)


def test_empty_prompts_are_grouped_by_id_only():
    turns = pl.DataFrame(
        {
            "prompt": ["", "Hi.", "", "Hello.", "", "Hey."],
            "response": ["Hi.", "How are you?", "Hello.", "Fine?", "Hey.", "Well?"],
            "prompt_id": ["a", "a", "b", "b", "c", "c"],
            "rating": [1.0, 2.0, 3.0, 4.0, 1.0, 4.0],
        }
    )
    world = simulate(turns, rate=1.0, alpha=1.0, test_share=0.34, seed=1)
    assert len(world.test) == 2
    assert world.test["prompt_id"].n_unique() == 1


# --- predictions that are wrong in a known way ---------------------------------------------------


def predicted(name, rating, seed=0):
    return PREDICTIONS[name](np.asarray(rating, float), np.random.default_rng(seed))


def test_one_and_four_take_as_many_rows_for_the_best_as_there_are_best():
    rating = [0] * 10 + [1, 1, 2, 2] + [3] * 6 + [4] * 3
    true = 0.1 + 0.2 * np.array(rating)
    for name, level in (("ONE", 0), ("FOUR", 3)):
        p = predicted(name, rating)
        raised = p != true
        assert raised.sum() == 3
        assert set(np.array(rating)[raised]) == {level}
        np.testing.assert_allclose(p[raised], 0.9)
        np.testing.assert_allclose(p[~raised], true[~raised])
        assert (predicted(name, rating, seed=1) != p).any()
    np.testing.assert_allclose(predicted("ONE", [1, 5, 5, 5]), 0.9)  # too few: all of them


def test_rotate_is_one_level_too_low_and_the_lowest_the_highest():
    np.testing.assert_allclose(predicted("ROTATE", [1, 2, 3, 4, 5]), [0.9, 0.1, 0.3, 0.5, 0.7])
    # Severities 0 to 3 are the ratings 1, 7/3, 11/3 and 5.
    np.testing.assert_allclose(predicted("ROTATE", [0, 1, 2, 3]), [0.9, 0.1, 11 / 30, 19 / 30])


def test_skew_has_more_noise_for_worse_responses():
    p = predicted("SKEW", np.repeat([1, 2, 3, 4, 5], 20_000)).reshape(5, -1)
    assert p.min() == pytest.approx(0.1)
    assert p.max() == pytest.approx(0.9)
    # N(1, 2.5^2) is kept at 1 for half of the rows, N(5, .5^2) at 5
    assert (p[0] == p.min()).mean() == pytest.approx(0.5, abs=0.01)
    assert (p[4] == p.max()).mean() == pytest.approx(0.5, abs=0.01)
    # N(3, 1.5^2) is within a standard deviation of 3 for 68.3 % of the rows
    assert (np.abs(p[2] - 0.5) < 0.3).mean() == pytest.approx(0.683, abs=0.01)
    assert p[2].mean() == pytest.approx(0.5, abs=0.01)


def test_on_labels_four_is_one_and_rotate_the_opposite():
    label = [0.0] * 5 + [1.0] * 2
    np.testing.assert_array_equal(predicted("ONE", label), predicted("FOUR", label))
    np.testing.assert_allclose(predicted("ROTATE", label), [0.9] * 5 + [0.1] * 2)


@pytest.mark.parametrize("rating", [[1.0, 1.0], [], [1.0, np.nan], [[1.0, 2.0]]])
@pytest.mark.parametrize("name", sorted(PREDICTIONS))
def test_predictions_need_ratings_that_differ(name, rating):
    with pytest.raises(TruewardError, match="two levels"):
        predicted(name, rating)
