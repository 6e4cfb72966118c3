"""Bounds: every completion of small tables by hand, intervals that hold the set, models that users choose."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import trueward as tw
from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Columns, Feedback
from trueward.evaluation.bounded_pairs import blocks, pair_accuracy, pair_orders
from trueward.evaluation.linear_estimands import LinearEstimand
from trueward.evaluation.missing_label_nuisances import partial_labels
from trueward.evaluation.model_balance import balance
from trueward.evaluation.partial_labels import WORST, PartialLabels, clustered_sum_error, tilt

SPAN = (-1.0, 1.0)


def rows(y, *, f=0.5, p=0.5, weight=None, prompt=None, user=None, gold=None):
    """Rows with ratings 1, 0 or None."""
    n = len(y)
    label = np.array([0.0 if v is None else float(v) for v in y])
    rated = np.array([v is not None for v in y])
    every = np.arange(n)
    return PartialLabels(
        rating=label,
        rated=rated,
        gold=np.full(n, np.nan) if gold is None else np.array(gold, dtype=float),
        f=np.broadcast_to(np.asarray(f, dtype=float), n).copy(),
        p=np.broadcast_to(np.asarray(p, dtype=float), n).copy(),
        weight=np.ones(n) if weight is None else np.array(weight, dtype=float),
        clusters=clusters(
            n,
            group=every if prompt is None else np.array(prompt),
            user=None if user is None else np.array(user),
        ),
        posterior=label,
    )


def completions(y):
    """Every table of labels that agrees with the ratings."""
    gaps = [i for i, v in enumerate(y) if v is None]
    for bits in itertools.product((0.0, 1.0), repeat=len(gaps)):
        full = np.array([0.0 if v is None else float(v) for v in y])
        full[gaps] = bits
        yield full


def allowed(f, gamma, *, points=4001):
    """P(good given unrated) of every odds ratio f / (1 - f) over u / (1 - u) within [1 / gamma, gamma]."""
    u = np.linspace(0, 1, points)[1:-1]
    ratio = f / (1 - f) / (u / (1 - u))
    return u[(ratio <= gamma) & (ratio >= 1 / gamma)]


def accuracy(labels, scores, prompt, weight):
    """Share of the mixed pairs in the model's order, over labels or probabilities of independent answers."""
    right = total = 0.0
    for i, j in itertools.permutations(range(len(labels)), 2):
        if prompt[i] == prompt[j]:
            mass = weight[i] * weight[j] * labels[i] * (1 - labels[j])
            total += mass
            right += mass * (0.5 + 0.5 * np.sign(scores[i] - scores[j]))
    return right / total if total else math.nan


# -- means and differences ----------------------------------------------------------------------------


def test_the_worst_case_of_a_mean_is_that_of_every_completion():
    y, w = [1, 0, None, None, 1, None], np.array([1.0, 2.0, 3.0, 1.0, 1.0, 2.0])
    means = [float(np.average(r, weights=w)) for r in completions(y)]
    found = LinearEstimand.mean(w).bounds(rows(y, weight=w), WORST, (0, 1))
    assert (found.low, found.high) == pytest.approx((min(means), max(means)))


def test_the_worst_case_of_a_difference_is_that_of_every_completion():
    """Four responses of each model in a table of 2 x 2 cells: rated or not, one model or the other."""
    y, new = [1, 0, None, None, 1, 1, None, 0], np.repeat([0.0, 1.0], 4)
    gaps = [float(r[new == 1].mean() - r[new == 0].mean()) for r in completions(y)]
    found = LinearEstimand.contrast(new, np.ones(8)).bounds(rows(y), WORST, SPAN)
    assert (found.low, found.high) == pytest.approx((min(gaps), max(gaps)))


@pytest.mark.parametrize("gamma", [1.5, 3.0, 20.0])
def test_the_bounds_of_an_odds_ratio_are_attained_and_never_exceeded(gamma):
    """Two cells with exact nuisances: 8 rows, 4 rated and 1 of them good; 6 rows, 3 rated, 2 good."""
    y = [1, 0, 0, 0, *[None] * 4, 1, 1, 0, *[None] * 3]
    f, p = np.repeat([1 / 4, 2 / 3], [8, 6]), np.repeat(0.5, 14)
    one, other = allowed(1 / 4, gamma), allowed(2 / 3, gamma)
    means = (1 + 4 * one[:, None] + 2 + 3 * other[None]) / 14
    found = LinearEstimand.mean(np.ones(14)).bounds(rows(y, f=f, p=p), gamma, (0, 1))
    assert found.low <= means.min() + 1e-9 < found.low + 1e-3
    assert found.high >= means.max() - 1e-9 > found.high - 1e-3


def test_the_bounds_of_a_difference_take_the_odds_ratios_of_both_models_to_opposite_ends():
    y = [1, 0, 0, 0, *[None] * 4, 1, 1, 0, *[None] * 3]
    f, p, new = np.repeat([1 / 4, 2 / 3], [8, 6]), np.repeat(0.5, 14), np.repeat([0.0, 1.0], [8, 6])
    one, other = allowed(1 / 4, 2.0), allowed(2 / 3, 2.0)
    gaps = (2 + 3 * other[None]) / 6 - (1 + 4 * one[:, None]) / 8
    way, table = LinearEstimand.contrast(new, np.ones(14)), rows(y, f=f, p=p)
    found, same = way.bounds(table, 2.0, SPAN), way.shared(table, 2.0, SPAN)
    assert (found.low, found.high) == pytest.approx((gaps.min(), gaps.max()), abs=1e-3)
    # one odds ratio for both: 21 of them, in logs
    deltas = np.linspace(-math.log(2), math.log(2), 21)
    joint = [
        (2 + 3 * tilt(np.array([2 / 3]), d)[0][0]) / 6
        - (1 + 4 * tilt(np.array([1 / 4]), d)[0][0]) / 8
        for d in deltas
    ]
    assert (same.low, same.high) == pytest.approx((min(joint), max(joint)))
    assert found.low < same.low < same.high < found.high


def test_at_an_odds_ratio_of_one_the_mean_is_the_doubly_robust_one():
    """mean f + o / p (y - f), by hand: rows .5 + 2 (1 - .5), .25 + 2 (0 - .25), .5, .25."""
    found = LinearEstimand.mean(np.ones(4)).bounds(
        rows([1, 0, None, None], f=[0.5, 0.25, 0.5, 0.25]), 1.0, (0, 1)
    )
    assert found.low == found.high == pytest.approx((1.5 - 0.25 + 0.5 + 0.25) / 4)


def test_gold_labels_narrow_the_worst_case():
    y = [1, 0, None, None]
    found = LinearEstimand.mean(np.ones(4)).bounds(
        rows(y, gold=[math.nan, 1, 1, math.nan]), WORST, (0, 1)
    )
    assert (found.low, found.high) == (0.75, 1.0)


def test_all_ratings_leave_one_value():
    found = LinearEstimand.mean(np.ones(4)).bounds(rows([1, 0, 1, 1], p=1.0), WORST, (0, 1))
    assert found.low == found.high == 0.75


def test_wider_limits_give_wider_bounds_within_the_worst_case():
    g = np.random.default_rng(0)
    y = [
        float(v) if o else None
        for v, o in zip(g.random(300) < 0.6, g.random(300) < 0.3, strict=True)
    ]
    table = rows(y, f=0.6, p=0.3)
    mean = LinearEstimand.mean(np.ones(300))
    found = [mean.bounds(table, gamma, (0, 1)) for gamma in (1, 1.5, 2, 5, 50, WORST)]
    assert [b.low for b in found] == sorted((b.low for b in found), reverse=True)
    assert [b.high for b in found] == sorted(b.high for b in found)


def test_a_contrast_within_users_is_the_regression_with_an_intercept_for_every_user():
    g = np.random.default_rng(0)
    user, new, w = g.integers(0, 6, 60), (g.random(60) < 0.4) * 1.0, g.uniform(0.5, 2, 60)
    x, value = g.normal(size=(60, 2)), g.normal(size=60)
    design = np.hstack([new[:, None], np.eye(6)[user], x]) * np.sqrt(w)[:, None]
    slope, *_ = np.linalg.lstsq(design, value * np.sqrt(w), rcond=None)
    way = LinearEstimand.contrast(new, w, user, x)
    assert way.c @ value == pytest.approx(slope[0])
    residual = value - np.hstack([new[:, None], np.eye(6)[user], x]) @ slope
    np.testing.assert_allclose(way.influence(value), way.c * residual, atol=1e-9)


def test_users_who_had_one_model_do_not_count_within_users():
    way = LinearEstimand.contrast(np.array([1.0, 0, 1, 1]), np.ones(4), np.array([0, 0, 1, 1]))
    assert way.c.tolist() == [1.0, -1.0, 0.0, 0.0]
    assert LinearEstimand.contrast(np.array([1.0, 1, 0]), np.ones(3), np.array([0, 0, 1])) is None


# -- pairs --------------------------------------------------------------------------------------------

PROMPT = np.array([0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.3, 0.1, 0.3, 0.9, 0.2, 0.5, 0.4])
WEIGHT = np.array([1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 1.0])
PARTLY = [1, None, None, None, 0, None, 1]


def test_the_worst_case_of_pair_accuracy_is_that_of_every_completion():
    every = [accuracy(r, SCORES, PROMPT, WEIGHT) for r in completions(PARTLY)]
    table = rows(PARTLY, weight=WEIGHT, prompt=PROMPT)
    found = pair_accuracy(blocks(PROMPT, SCORES, WEIGHT, 0), table, WORST)
    assert (found.low, found.high) == pytest.approx((np.nanmin(every), np.nanmax(every)))


@pytest.mark.parametrize("seed", range(4))
def test_the_worst_case_of_pair_accuracy_in_tables_drawn_at_random(seed):
    g = np.random.default_rng(seed)
    y = [(None, 0, 1)[k] for k in g.integers(0, 3, 7)]
    scores = g.integers(0, 4, 7) / 4.0
    every = [accuracy(r, scores, PROMPT, np.ones(7)) for r in completions(y)]
    found = pair_accuracy(blocks(PROMPT, scores, np.ones(7), 0), rows(y, prompt=PROMPT), WORST)
    assert (found.low, found.high) == pytest.approx((np.nanmin(every), np.nanmax(every)))


def test_the_bounds_of_pair_accuracy_hold_every_allowed_probability_and_are_attained():
    """Rated answers as predicted (rating = f), so that their correction is 0; answers are independent."""
    f = np.array([0.8, 0.3, 0.6, 0.5, 0.2, 0.7, 0.4])
    table = rows(PARTLY, f=f, weight=WEIGHT, prompt=PROMPT)
    table = PartialLabels(**vars(table) | {"rating": f})
    found = pair_accuracy(blocks(PROMPT, SCORES, WEIGHT, 0), table, 2.0)
    free = [i for i, v in enumerate(PARTLY) if v is None]
    ends = [
        np.array([tilt(f[i : i + 1], d)[0][0] for d in (math.log(2), -math.log(2))]) for i in free
    ]
    g = np.random.default_rng(0)
    tried = [np.array(v) for v in itertools.product(*ends)]
    tried += [np.array([g.uniform(*e) for e in ends]) for _ in range(200)]
    values = []
    for pi in tried:
        labels = np.array([0.0 if v is None else float(v) for v in PARTLY])
        labels[free] = pi
        values.append(accuracy(labels, SCORES, PROMPT, WEIGHT))
    assert (found.low, found.high) == pytest.approx((min(values), max(values)))


def test_pair_accuracy_without_a_possible_mixed_pair_is_not_defined():
    assert (
        pair_accuracy(blocks(PROMPT, SCORES, WEIGHT, 0), rows([1] * 7, prompt=PROMPT), WORST)
        is None
    )


def test_a_pair_is_ordered_where_the_ranges_do_not_overlap():
    """p = .5, odds ratio 2: f .9 has [.859, .924], f .5 [.417, .583], f .6 [.514, .675], by hand."""
    prompt = np.array([0, 0, 0])
    table = rows([None] * 3, f=[0.9, 0.5, 0.6], prompt=prompt)
    parts = blocks(prompt, np.array([3.0, 2.0, 1.0]), np.ones(3), 0)
    found = pair_orders(parts, table, 2.0)
    assert (found.determined, found.agree) == pytest.approx((2 / 3, 2 / 3))
    one = pair_orders(parts, table, 1.0)
    assert (one.determined, one.agree) == pytest.approx((1.0, 2 / 3))  # the model has .5 above .6
    assert pair_orders(parts, table, WORST).determined == 0.0


def test_prompts_with_many_answers_are_divided_at_random():
    parts = blocks(np.zeros(14, dtype=int), np.arange(14.0), np.ones(14), 0)
    assert sorted(b.rows.shape for b in parts) == [(1, 2), (2, 6)]
    assert sorted(np.concatenate([b.rows.ravel() for b in parts])) == list(range(14))


# -- intervals ----------------------------------------------------------------------------------------


def world(g, n, *, ratio=2.5):
    """Prompts of two rows, x in two cells; the good react with odds ``ratio`` times those of the bad."""
    x = np.repeat(g.random(n // 2) < 0.5, 2)
    r = g.random(n) < np.where(x, 0.7, 0.4)
    odds = np.where(x, 0.5, 0.25) * np.where(r, ratio, 1.0)
    o = g.random(n) < odds / (1 + odds)
    return x, r, o


def population(ratio=2.5):
    """P(rated), P(good given rated) in both cells, and the ends of the set at an odds ratio of 3."""
    p, f = [], []
    for good, base in ((0.4, 0.25), (0.7, 0.5)):
        up = good * base * ratio / (1 + base * ratio)
        down = (1 - good) * base / (1 + base)
        p.append(up + down)
        f.append(up / (up + down))
    ends = [
        np.mean([a * b + (1 - a) * tilt(np.array([b]), d)[0][0] for a, b in zip(p, f, strict=True)])
        for d in (math.log(3), -math.log(3))
    ]
    return p, f, ends


def test_intervals_hold_both_ends_of_the_set_although_the_nuisances_are_wrong():
    """f and p are off by .04 and .03: without the correction the ends would be off by .02, 1.3 errors.

    Of 400 intervals that hold both ends in 95 %, at least 368 do with probability .99.
    """
    g = np.random.default_rng(0)
    p, f, ends = population()
    held = truth = 0
    for _ in range(400):
        x, r, o = world(g, 1200)
        y = np.where(o, r, 0.0)
        table = PartialLabels(
            y, o, np.full(1200, np.nan), np.where(x, *f[::-1]) + 0.04, np.where(x, *p[::-1]) - 0.03,
            np.ones(1200), clusters(1200, group=np.arange(1200) // 2), y,
        )  # fmt: skip
        found = LinearEstimand.mean(np.ones(1200)).bounds(table, 3.0, (0, 1))
        held += found.ci_low <= ends[0] and ends[1] <= found.ci_high
        truth += found.ci_low <= 0.55 <= found.ci_high
    assert held >= 368
    assert truth >= held  # the odds ratio is 2.5, so the true mean lies in the set


def test_the_bounds_of_pair_accuracy_depend_on_wrong_nuisances_to_second_order_only():
    """4,000 prompts of three: f off by .05 in one cell moves the ends by under a fifth of what it would."""
    g = np.random.default_rng(1)
    p, f, _ = population()
    mixed = g.permutation(12_000)
    x, r, o = (v[mixed] for v in world(g, 12_000))
    prompt, y = np.arange(12_000) // 3, np.where(o, r, 0.0)
    parts = blocks(prompt, x + 0.0, np.ones(12_000), 0)

    def ends(shift, *, corrected=True):
        guess = np.where(x, f[1] + shift, f[0])
        table = PartialLabels(
            y if corrected else np.where(o, guess, 0.0), o, np.full(12_000, np.nan), guess,
            np.where(x, *p[::-1]), np.ones(12_000), clusters(12_000, group=prompt), y,
        )  # fmt: skip
        found = pair_accuracy(parts, table, 2.0)
        return np.array([found.low, found.high])

    moved = np.abs(ends(0.05) - ends(0.0))
    would = np.abs(ends(0.05, corrected=False) - ends(0.0, corrected=False))
    assert (moved < would / 5).all(), (moved, would)


def test_the_error_is_clustered_by_users_and_prompts_as_the_formula_says():
    user, prompt, v = (
        np.array([0, 0, 1, 1]),
        np.array([0, 1, 0, 1]),
        np.array([1.0, 2.0, -1.0, -2.0]),
    )
    by_user, by_prompt, by_both = (9 + 9) * 2, (0 + 0) * 2, (1 + 4 + 1 + 4) * 4 / 3
    error, freedom = clustered_sum_error(clusters(4, group=prompt, user=user), v, np.ones(4))
    assert error**2 == pytest.approx(max(by_user + by_prompt - by_both, by_user, by_prompt))
    assert freedom == 1.0


def test_the_error_of_a_mean_is_that_of_leaving_out_one_prompt_after_the_other():
    """Prompts of 3, 2 and 1 rows and weights: (C - 1) / C sum (mean without c - mean)^2, exactly.

    The plain factor C / (C - 1) gives less: a prompt that carries much pulls the mean towards itself.
    """
    prompt, y = np.array([0, 0, 0, 1, 1, 2]), np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    w = np.array([1.0, 2.0, 1.0, 1.0, 1.0, 0.5])
    without = [np.average(y[prompt != c], weights=w[prompt != c]) for c in range(3)]
    mean = LinearEstimand.mean(w)
    pull = mean.influence(y)
    error, _ = clustered_sum_error(clusters(6, group=prompt), pull, mean.c)
    left_out = 2 / 3 * np.square(without - np.average(y, weights=w)).sum()
    assert error**2 == pytest.approx(left_out)
    assert error**2 > 1.5 * 3 / 2 * np.square(np.bincount(prompt, pull)).sum()


# -- models that users choose -------------------------------------------------------------------------


def chosen(seed=0, *, users=120, each=20, drawn=False, known=True):
    """Model b is better by .15 for every user; users with hard questions prefer it, unless it is drawn.

    With ``known``, rough nuisances are in the log, which the regression on the model corrects.
    """
    g = np.random.default_rng(seed)
    n = users * each
    user = np.repeat(np.arange(users), each)
    hard = g.random(users)[user]
    b = g.random(n) < (0.5 if drawn else 0.1 + 0.8 * hard)
    good = g.random(n) < 0.75 - 0.55 * hard + 0.15 * b
    o = g.random(n) < 0.4
    x = torch.from_numpy(np.stack([g.normal(size=n), b + g.normal(size=n)], 1)).float()
    y, o = torch.from_numpy(good & o).float(), torch.from_numpy(o).float()
    eta = tw.Columns(noisy=torch.full((n,), 0.6), responds=torch.full((n,), 0.4))
    ids = {"group": torch.arange(n), "user": torch.from_numpy(user)}
    log = tw.Feedback(x, y, o, **ids, eta=eta if known else tw.Columns())
    return log, ["b" if k else "a" for k in b], {"hard": hard + g.normal(size=n)}


@pytest.fixture(scope="module")
def model():
    log = chosen()[0]
    return tw.fit("naive", *log.split(0.2), epochs=1, hidden=(4,))


def test_where_users_choose_the_marginal_comparison_is_wrong_and_the_one_within_users_right(model):
    """-.55 cov(hard, b) / var(b) + .15 = -.55 .8 / 12 / .25 + .15 = .003 over all; .15 within users."""
    log, names, covariates = chosen(known=False)
    (found,) = tw.bounds(
        model, log, compare=names, reference="a", covariates=covariates
    ).comparisons
    assert (found.model, found.reference) == ("b", "a")
    whole, within = found.contrasts["all responses"], found.contrasts["within users"]
    assert whole.bounds[0].ci_high < 0.15
    assert within.bounds[0].ci_low < 0.15 < within.bounds[0].ci_high
    assert within.bounds[0].ci_low > 0
    assert found.balance.users == "differ"
    assert list(found.balance.unequal) == ["hard"]
    assert found.balance.confounded
    assert "was not random" in str(found)


@pytest.fixture(scope="module")
def experiment(model):
    log, names, covariates = chosen(1, drawn=True)
    return tw.bounds(model, log, compare=names, reference="a", covariates=covariates)


def test_where_the_model_is_drawn_both_comparisons_are_right_and_nothing_is_flagged(experiment):
    (found,) = experiment.comparisons
    for name in ("all responses", "within users"):
        at_one = found.contrasts[name].bounds[0]
        assert at_one.low == pytest.approx(at_one.high)
        assert at_one.ci_low < 0.15 < at_one.ci_high
    assert not found.balance.confounded
    assert found.balance.users == "alike"
    assert "drawn at random" in found.contrasts["all responses"].assumes


def test_the_odds_ratio_that_decides_the_sign_is_where_the_bounds_reach_zero(experiment):
    found = experiment.comparisons[0].contrasts["all responses"]
    assert 1 < found.interval_until < found.sign_until < math.inf
    low = [b.low for b in found.bounds if b.gamma < found.sign_until]
    beyond = [b.low for b in found.bounds if b.gamma > found.sign_until]
    assert min(low) > 0 > max(beyond)
    assert (
        experiment.to_json()["comparisons"][0]["contrasts"]["all responses"]["bounds"][-1]["gamma"]
        is None
    )


def test_an_ab_test_by_user_is_no_confounded_choice():
    g = np.random.default_rng(0)
    user = np.repeat(np.arange(100), 10)
    new = (np.arange(100) % 2)[user] * 1.0
    found = balance(new, np.ones(1000), clusters(1000, user=user), {"x": g.normal(size=1000)})
    assert (found.users, found.confounded) == ("one model each", False)
    assert "no comparison within users" in str(found)


def test_the_comparison_of_traffic_is_wrong_about_drawn_models_as_often_as_it_says():
    """At 1 % for all columns and 1 % for users: of 300 draws at most 14 are flagged with probability .99."""
    g = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 8)
    units = clusters(480, user=user)
    taste = g.normal(size=60)[user]
    flagged = 0
    for _ in range(300):
        columns = {k: taste + g.normal(size=480) for k in "abc"}
        flagged += balance((g.random(480) < 0.4) * 1.0, np.ones(480), units, columns).confounded
    assert flagged <= 14


# -- what a log lacks ---------------------------------------------------------------------------------


def test_clicks_have_the_worst_case_only(model):
    log, names, _ = chosen()
    clicks = tw.Feedback(log.x, log.y, group=log.group, user=log.user)
    result = tw.bounds(model, clicks, compare=names)
    (worst,) = result.mean
    assert worst.gamma == WORST
    assert (worst.low, worst.high) == pytest.approx((float(log.y.mean()), 1.0))
    assert "only the worst case is bounded: a log of clicks" in str(result)
    assert result.comparisons[0].contrasts["all responses"].sign_until is None
    with pytest.raises(UsageError, match="clicks only"):
        tw.bounds(model, clicks, rho_10=0.1)


def test_a_log_without_unrated_responses_has_one_value(model):
    log, _, _ = chosen()
    full = tw.Feedback(log.x, log.y, torch.ones(len(log)), group=log.group)
    result = tw.bounds(model, full)
    assert result.mean[0].low == result.mean[0].high == pytest.approx(float(log.y.mean()))
    assert "the bounds are one value" in str(result)


def test_rows_without_weight_count_for_nothing(model):
    log, _, _ = chosen(users=30)
    half = replace(
        log, weight=torch.arange(len(log)) % 2.0, eta=Columns(noisy=log.y, responds=log.o)
    )
    (worst, *_) = tw.bounds(model, half).mean
    kept = half[torch.arange(1, len(log), 2)]
    (alone, *_) = tw.bounds(model, replace(kept, weight=None)).mean
    assert (worst.low, worst.high) == pytest.approx((alone.low, alone.high))


def test_noise_rates_correct_the_mean(model):
    """Every response rated, rates .1 and .2: (mean - .2) / .7."""
    log, _, _ = chosen()
    full = tw.Feedback(log.x, log.y, torch.ones(len(log)), group=log.group)
    result = tw.bounds(model, full, rho_01=0.1, rho_10=0.05)
    assert result.mean[0].low == pytest.approx((float(log.y.mean()) - 0.05) / 0.85, abs=1e-6)
    with pytest.raises(UsageError, match="sum below 1"):
        tw.bounds(model, log, rho_01=0.6, rho_10=0.5)


def test_noise_rates_that_the_ratings_do_not_allow_are_noted(model):
    """P(up given rated) is .6, and .7 of the bad ones would be rated good: P(good) would be below 0."""
    log, _, _ = chosen()
    assert not any("held at" in note for note in tw.bounds(model, log, rho_10=0.01).notes)
    notes = tw.bounds(model, log, rho_01=0.1, rho_10=0.7).notes
    assert any("P(good) is held at 0 or 1 in" in note for note in notes)


def test_a_comparison_needs_two_models_and_a_known_reference(model):
    log, names, _ = chosen()
    with pytest.raises(TruewardError, match="two models, and the log has one, 'a'"):
        tw.bounds(model, log, compare=["a"] * len(log))
    sizes = ["small" if n == "a" else "large" for n in names]
    with pytest.raises(UsageError, match=r"no response is of 'smal': did you mean small\?"):
        tw.bounds(model, log, compare=sizes, reference="smal")
    with pytest.raises(UsageError, match="one name for each"):
        tw.bounds(model, log, compare=names[:5])


def test_gold_labels_of_unequal_chances_leave_the_mean_unbiased_by_their_gold_weight():
    """Good and bad answers are rated alike, f is wrong, and gold labels are likelier at high scores.

    8 logs of 4,000 rows: the mean at odds ratio 1 is off by .003 or less per standard error of chance; with
    one share of gold rows for all, by .025.
    """
    off = {True: [], False: []}
    for seed in range(8):
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(4000, 1, generator=g)
        r = (torch.rand(4000, generator=g) < torch.sigmoid(1.5 * x[:, 0])).float()
        o = (torch.rand(4000, generator=g) < 0.3).float()
        chance = 0.8 * torch.sigmoid(2 * x[:, 0] - 1)
        gold = torch.where(torch.rand(4000, generator=g) < chance, r, torch.nan)
        eta = Columns(noisy=torch.sigmoid(0.5 * x[:, 0]), responds=torch.full((4000,), 0.3))
        log = Feedback(x, r * o, o, gold=gold, gold_weight=1 / chance, eta=eta)
        for weighted, gaps in off.items():
            used = log if weighted else replace(log, gold_weight=None)
            rows, _ = partial_labels(used, None, (0.0, 0.0), 0)
            found = LinearEstimand.mean(rows.weight).bounds(rows, 1.0, (0.0, 1.0))
            gaps.append(found.low - float(r.mean()))
    assert abs(np.mean(off[True])) < 0.01
    assert np.mean(off[False]) > 0.015
