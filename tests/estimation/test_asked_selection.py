"""A lottery of asks as an instrument for reacting: exact frequencies, and bounds where few answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from trueward.core.random import torch_stream
from trueward.data.feedback import Columns, Feedback
from trueward.estimation import asked_selection
from trueward.estimation.asked_average import AskedAverage, bounded, usable
from trueward.estimation.asked_counts import AskedCounts
from trueward.estimation.asked_nuisances import selection_with_asks
from trueward.estimation.asked_selection import fit_asked_models
from trueward.estimation.selection_average import selection_average
from trueward.exporting.to_networks import networks_of
from trueward.fitting.fit import fit

Z = np.linspace(-2.5, 2.5, 41)
GAMMA = expit(Z)  # P(good) in every cell
ROWS = 20_000


def world(b, d=0.0, rates=(0.05, 0.6), share=0.1, gold=0, rho=(0.0, 0.0)):
    """Exact frequencies of 20,000 rows in 41 cells and two arms, with gold labels on silent asked rows."""
    g, arm = np.tile(GAMMA, 2), np.repeat([0, 1], len(Z))
    half = (b + d * arm) / 2
    h = logit(np.choose(arm, rates))
    m_1, m_0 = expit(h + half), expit(h - half)
    good, bad = m_1 * g, m_0 * (1 - g)
    up, down = (1 - rho[0]) * good + rho[1] * bad, rho[0] * good + (1 - rho[1]) * bad
    n = ROWS / len(Z) * np.choose(arm, [1 - share, share])
    outcome = n * np.stack([up, down, 1 - up - down])
    both = outcome.reshape(3, 2, -1).sum(1)  # what networks see, which do not know the arm
    q, p = np.log(both[0] / both[1]), np.log((both[0] + both[1]) / both[2])
    labelled = np.where(arm == 1, gold / outcome[2][arm == 1].sum(), 0.0)
    of_gold = np.zeros((2, 2, len(g)))
    of_gold[1, 0] = n * (1 - m_1) * g * labelled
    of_gold[0, 0] = n * (1 - m_0) * (1 - g) * labelled
    outcome[2] -= of_gold.sum((0, 1))
    return AskedCounts(np.tile(q, 2), np.tile(p, 2), arm, outcome, of_gold)


def share(average):
    weights, rows = average.coefficients
    f = rows[:, :1] + rows[:, 1:3] @ np.stack([average.counts.q, average.counts.p])
    return float(weights @ np.average(expit(f), axis=1, weights=average.counts.n))


def named(average, name):
    return next(m for m in average.models if m.name == name)


@pytest.mark.parametrize("b", [np.log(3), -np.log(3)])
def test_the_asks_tell_how_much_more_good_answers_react(b):
    """20,000 rows, a tenth asked, 60 % answer: b with an error of about .2, the share to .02."""
    average = AskedAverage.fit(world(b), 0.0, 0.0)
    assert named(average, "asked").strength()[0] == pytest.approx(b, abs=0.2)
    assert average.by_label > 0.99
    assert share(average) == pytest.approx(GAMMA.mean(), abs=0.02)
    low, high = average.share_range(0)
    assert low < GAMMA.mean() < high
    assert high - low < 0.2


def test_without_evidence_for_stacking_the_ranking_is_that_of_the_ratings():
    """P(rated) adds nothing to q where it is a function of it: no component has a coefficient of p."""
    for b in (0.0, np.log(3)):
        average = AskedAverage.fit(world(b), 0.0, 0.0, (0.1, 0.8))
        assert not average.uses_unrated
        weights, rows = average.coefficients
        assert rows[:, 2].tolist() == [0, 0]
        assert (rows[:, 1] > 0).all()
        assert rows[:, 3] == pytest.approx(
            0.8 * rows[:, 1]
        )  # q and naive's logit on its scale, half each
        assert weights.sum() == pytest.approx(1)


def test_under_missing_at_random_the_level_is_that_of_the_ratings():
    average = AskedAverage.fit(world(0.0), 0.0, 0.0)
    assert share(average) == pytest.approx(GAMMA.mean(), abs=0.01)
    assert average.by_label < 0.5


def test_gold_labels_on_the_silent_identify_what_asking_changes():
    """Asking halves the log odds ratio: 200 labels on the silent find it, and narrow the range."""
    b = np.log(9)
    without, labelled = (AskedAverage.fit(world(b, -b / 2, gold=k), 0.0, 0.0) for k in (0, 200))
    assert share(labelled) == pytest.approx(GAMMA.mean(), abs=0.02)
    assert tuple(named(labelled, "asked").strength()) == (
        pytest.approx(b, abs=0.4),
        pytest.approx(-b / 2, abs=0.4),
    )
    wide, narrow = (high - low for low, high in (v.share_range(0) for v in (without, labelled)))
    assert narrow < 0.8 * wide


def test_given_noise_rates_are_corrected():
    average = AskedAverage.fit(world(np.log(3), rho=(0.1, 0.2)), 0.1, 0.2)
    assert share(average) == pytest.approx(GAMMA.mean(), abs=0.03)


def test_gradients_agree_with_differences(monkeypatch):
    found = []
    real = asked_selection.laplace

    def spied(objective, starts, sd, slope=None):
        found.append((objective, len(sd)))
        return real(objective, starts, sd, slope=slope)

    monkeypatch.setattr(asked_selection, "laplace", spied)
    fit_asked_models(world(np.log(3), -0.3, gold=50, rho=(0.1, 0.1)), 0.1, 0.1)
    rng = np.random.default_rng(0)
    for objective, size in found:
        v = rng.normal(0, 0.4, size)
        step = 1e-5 * np.eye(size)
        by_difference = [(objective(v + e)[0] - objective(v - e)[0]) / 2e-5 for e in step]
        assert objective(v)[1] == pytest.approx(by_difference, rel=1e-4, abs=1e-2)


def test_below_a_fifth_answering_asks_give_bounds_and_no_estimate():
    few = world(np.log(3), rates=(0.05, 0.15))
    assert not usable(few)
    assert usable(world(np.log(3), rates=(0.05, 0.25)))
    assert usable(
        world(np.log(3), rates=(0.05, 0.15), gold=20)
    )  # labels say what the answers do not
    up, down = (v[few.arm == 1].sum() / few.outcome[:, few.arm == 1].sum() for v in few.outcome[:2])
    report = bounded({"share_good": 0.7, "finding": "f", "weights": {}}, few)
    assert report["share_good"] is None
    assert report["share_good_range"] == pytest.approx([up, 1 - down], abs=1e-3)
    assert "of the asked answered, and below 20% asks give bounds only" in report["warning"]
    assert "finding" not in report


# --- rows of a log -------------------------------------------------------------------------------


def log(n=4000, answering=0.6, seen=1.0, gold=0, lottery=True, seed=0):
    """Features say how good a response is; good ones get three times the odds of a reaction."""
    g = torch_stream(seed, "log")
    x = torch.randn(n, 3, generator=g)
    good = torch.rand(n, generator=g) < torch.sigmoid(1.5 * x[:, 0])
    asked = torch.rand(n, generator=g) < 0.2
    saw = asked & (torch.rand(n, generator=g) < seen)
    level = torch.where(saw, logit(answering), logit(0.06))
    o = (
        torch.rand(n, generator=g) < torch.sigmoid(level + np.log(3) * (good.float() - 0.5))
    ).float()
    silent = (saw & (o == 0)).nonzero().squeeze(-1)[:gold]
    label = torch.full((n,), torch.nan).scatter(0, silent, good[silent].float()) if gold else None
    columns = {"asked": asked.float(), "p_ask": torch.full((n,), 0.2), "seen": saw.float()}
    asks = Columns(columns if lottery else {})
    return Feedback(x, good * o, o, gold=label, group=torch.arange(n) // 2, asks=asks), good


def with_chances(data, rows=slice(None)):
    """The rows with the chances that networks would give, and without features."""
    x = data.x[rows]
    eta = Columns(
        noisy=torch.sigmoid(1.5 * x[:, 0] + 0.8),
        responds=torch.sigmoid(0.3 * x[:, 0] - 1.5),
        naive=torch.sigmoid(1.4 * x[:, 0] + 0.9),
    )
    kept = data[torch.arange(len(data))[rows]]
    return replace(kept, x=x[:, :0], eta=eta)


def selected(data, nuisance=None):
    """Parameters and report of the nuisance, three quarters of the rows for training."""
    cut = 3 * len(data) // 4
    parts = with_chances(data, slice(cut)), with_chances(data, slice(cut, None))
    return (nuisance or selection_with_asks(0.0, 0.0)).fit(*parts, 1)


def without(data, *names):
    return replace(data, asks=Columns({k: v for k, v in data.asks.items() if k not in names}))


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_the_lottery_of_a_log_is_read_and_reported():
    data, good = log()
    _, report = selected(data)
    assert list(report["weights"]) == ["at_random", "stacked", "asked", "asked_stacked"]
    assert sum(report["asks"]["rows"]) == pytest.approx(4000)
    assert report["asks"]["answering"][1] == pytest.approx(0.6, abs=0.06)
    low, high = report["share_good_range"]
    assert low <= report["share_good"] <= high
    # the range is 3.3 standard errors wide
    assert report["share_good"] == pytest.approx(float(good.float().mean()), abs=high - low)
    assert "seen" not in report.get("warning", "")


def test_without_a_lottery_the_result_is_the_old_one_to_the_bit():
    data, _ = log(1200, lottery=False)
    assert same(selected(data)[0], selected(data, selection_average(0.0, 0.0))[0])


def test_who_did_not_see_the_question_counts_in_no_arm():
    """Half the asked never saw it: dropped, they change no answering rate; unlogged, they are silent."""
    data, _ = log(seen=0.5)
    assert AskedCounts.of([with_chances(data)]).answering[1] == pytest.approx(0.6, abs=0.06)
    hidden = without(data, "seen")
    assert AskedCounts.of([with_chances(hidden)]).answering[1] < 0.4
    assert "does not say who saw the question" in selected(hidden)[1]["warning"]


def test_few_answers_change_nothing_but_the_report():
    data, _ = log(1200, answering=0.08)
    (one, report), (two, _) = selected(data), selected(data, selection_average(0.0, 0.0))
    assert same(one, two)
    assert report["share_good"] is None
    assert "asks give bounds only" in report["warning"]


def test_an_estimate_outside_of_what_the_reactions_allow_is_warned_of():
    """80 % of all responses get a thumb down when asked, so at most a fifth are good."""
    counts = world(0.0)
    n = counts.outcome.sum(0)
    asked = counts.arm == 1
    outcome = np.where(asked, n * np.array([[0.0], [0.8], [0.2]]), counts.outcome)
    model = fit_asked_models(counts, 0.0, 0.0)[0]
    average = AskedAverage([model], np.ones(1), replace(counts, outcome=outcome), (0.0, 0.0))
    assert "outside of what the reactions allow" in average.report(0)["warning"]


def test_three_outcome_reads_the_asks_by_default_and_its_export_scores_the_same():
    data, _ = log(800)
    model = fit("three_outcome", *data.split(0.2), nuisance_epochs=2, epochs=2, folds=2, seed=1)
    report = model.report["nuisances"]["selection"]
    assert list(report["weights"]) == ["at_random", "stacked", "asked", "asked_stacked"]
    reward = model.score_features(data.x).reward
    assert float(torch.sigmoid(reward).mean()) == pytest.approx(report["share_good"], abs=0.03)
    carried = networks_of(model, data.x)  # what an export has: naive's network is one more of q
    assert carried is not None
    assert model.net.parameters("selection")["coefficients"][:, 3].any()
    assert np.abs(carried(data.x.numpy()) - reward.double().numpy()).max() < 1e-4


# --- asks that were no lottery -------------------------------------------------------------------


def only_some(data, asked):
    """The same log, where others were asked; the answers stay where they are."""
    return replace(data, asks=data.asks | {"asked": asked.float()})


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (lambda data: data.x[:, 0] > 0.84, "who was asked depends on the response"),
        (lambda data: data.asks.asked * (torch.arange(len(data)) % 2), "are expected"),
        (lambda data: (data.user % 5 == 0) & (data.user >= 0), "some users were asked more often"),
    ],
)
def test_asks_that_were_no_lottery_are_left_out_with_a_warning(who, words):
    data, _ = log(2000)
    data = replace(data, user=torch.arange(2000) // 20)
    data = only_some(data, who(data))
    parameters, report = selected(data)
    assert "no fair lottery and are left out: " in report["warning"]
    assert words in report["warning"]
    assert "asks" not in report
    assert same(parameters, selected(data, selection_average(0.0, 0.0))[0])
