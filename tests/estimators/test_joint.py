"""Ratings and comparisons in one reward: a source counts as far as it predicts unseen ratings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import trueward as tw
from trueward.core.influence import auroc_influence
from trueward.data.capabilities import LogCapabilities
from trueward.data.comparisons import Pairs
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.joint_regression import _coefficients, _level, joining
from trueward.estimation.pair_scores import agreement, contradictions, pair_calibration
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import make
from trueward.exporting.to_networks import model_logits, networks_of

SHORT = {"hidden": (), "nuisance_epochs": 8, "nuisance_lr": 0.05, "folds": 3, "seed": 0}
SHORT |= {"epochs": 6, "lr": 0.05}
EVIDENCE = ("pairs.battle", "pairs.edit", "pairs.judge")


def world(seed=0, n=400, rate=0.2):
    """Two answers a prompt; battles are about quality, the judge is not, and edits say the opposite."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, 6, generator=g)
    u = 1.5 * x[:, 0] - x[:, 1]
    r = (torch.rand(2 * n, generator=g) < torch.sigmoid(u)).float()
    o = (torch.rand(2 * n, generator=g) < rate).float()
    i = 2 * torch.arange(n)
    sides = []
    for lead in (u + x[:, 2], 3 * x[:, 3], -3 * u):
        won = torch.rand(n, generator=g) < torch.sigmoid(lead[i] - lead[i + 1])
        sides.append((torch.where(won, i, i + 1), torch.where(won, i + 1, i)))
    winner, loser = (torch.cat(side) for side in zip(*sides, strict=True))
    source = torch.arange(3 * n) // n
    pairs = Pairs.of(winner, loser, source=source, sources=("battle", "judge", "edit"))
    return Feedback(x, r * o, o, group=torch.arange(2 * n) // 2, pairs=pairs), u


@pytest.fixture(scope="module")
def log():
    return world()


@pytest.fixture(scope="module")
def joint(log):
    return tw.fit("joint", *log[0].split(0.2), **SHORT)


def rank(model, x, u):
    r = (u > 0).float()
    return auroc_influence(
        model.score_features(x).reward.double().numpy(), r.double().numpy()
    ).theta


def test_comparisons_help_and_a_source_about_something_else_is_left_out(log, joint):
    data, _ = log
    g = torch.Generator().manual_seed(9)
    x = torch.randn(2000, 6, generator=g)
    u = 1.5 * x[:, 0] - x[:, 1]
    train, val = data.split(0.2)
    ratings = tw.fit("naive", train, val, **SHORT)
    assert "naive does not read the 960 comparisons" in ratings.report["warnings"][0]
    assert rank(joint, x, u) > rank(ratings, x, u) + 0.01
    weights = joint.report["nuisances"]["joint"]["weights"]
    assert weights["battle"] > 3 * weights["judge"]
    assert joint.report["nuisances"]["pairs.battle"]["accuracy"]["low"] > 0.6
    counts = joint.report["comparisons"]["sources"]
    assert counts == {"battle": 320, "judge": 320, "edit": 320}


def test_the_level_is_that_of_the_ratings(log, joint):
    data, u = log
    mean = float(joint.score_features(data.x).preferred.mean())
    assert mean == pytest.approx(float(torch.sigmoid(u).mean()), abs=0.08)


def test_a_source_that_contradicts_the_ratings_gets_no_weight_and_is_named(joint):
    about = joint.report["nuisances"]["joint"]
    assert about["weights"]["edit"] == 0
    assert "ratings and edit contradict each other" in about["warning"]
    assert "the comparisons of edit are not used" in about["warning"]


def test_the_networks_of_an_export_give_the_reward(log, joint):
    data, _ = log
    networks = networks_of(joint, data.x[:50])  # raises if they differ from the model
    assert networks is not None
    assert len(model_logits(joint, data.x[:50])) == 50


def test_a_saved_model_scores_as_before(joint, log, tmp_path):
    joint.save(tmp_path / "rm")
    again = tw.load(tmp_path / "rm")
    x = log[0].x[:20]
    assert torch.equal(again.score_features(x).reward, joint.score_features(x).reward)
    assert again.estimator.sources == ("battle", "edit", "judge")


def test_auto_takes_joint_bradley_terry_or_anchored_by_what_the_log_has(log):
    data, _ = log
    facts = LogCapabilities.from_feedback(data)
    assert make("auto").resolve(facts)[0].name == "joint"
    silent = replace(data, y=0 * data.y, o=0 * data.o)
    assert make("auto").resolve(LogCapabilities.from_feedback(silent))[0].name == "bradley_terry"
    gold = torch.full((800,), torch.nan)
    gold[:40] = (torch.arange(40) % 2).float()
    taken, _ = make("auto").resolve(LogCapabilities.from_feedback(replace(data, gold=gold)))
    assert taken.signals == ("ratings", "reactions", *EVIDENCE)


def test_anchored_takes_comparisons_as_evidence_even_without_ratings(log):
    data, u = log
    gold = torch.full((800,), torch.nan)
    gold[::12] = (u[::12] > 0).float()
    silent = replace(data, gold=gold, y=0 * data.y, o=0 * data.o)
    short = {**SHORT, "nuisance_epochs": 3, "folds": 2, "signals": ("pairs.battle",)}
    model = tw.fit("anchored", *silent.split(0.2), **short)
    assert model.report["rated"] == {"train": 0, "validation": 0}
    assert rank(model, data.x, u) > 0.85


def test_few_ratings_few_pairs_and_unknown_sources_are_told(log):
    data, _ = log
    half = {k: torch.full((800,), 0.5) for k in ("noisy", "pairs.battle")}
    few = replace(data, o=data.o * (torch.arange(800) < 60), eta=Columns(half))
    about = joining(("battle",), "noisy").fit(few, few, 0)[1]
    assert "ratings are too few to weigh comparisons" in about["warning"]
    facts = replace(
        LogCapabilities.from_feedback(data), pair_sources=(("battle", 900), ("edit", 3))
    )
    method, reasons = make("joint").resolve(facts)
    assert method.sources == ("battle",)
    assert reasons == ("Left out: comparisons of edit (3), fewer than 20.",)
    lacks = lacking(make("joint", {"sources": ("human",)}), facts)
    assert lacks == "comparisons of human, and the log has those of battle, edit"
    assert lacking(make("bradley_terry", {"noise_of": ("battle:0.1",)}), facts) is None
    with pytest.raises(tw.TruewardError, match="joint needs comparisons"):
        tw.fit("joint", *replace(data, pairs=None).split(0.2), **SHORT)


# the parts
def test_weights_are_never_negative_and_the_level_is_kept():
    g = torch.Generator().manual_seed(0)
    f = torch.randn(400, 3, generator=g).double().numpy()
    y = (
        torch.rand(400, generator=g).numpy() < 1 / (1 + 2.718 ** (-f[:, 0] - f[:, 1] + f[:, 2]))
    ) * 1.0
    rows, ones = np.c_[np.ones(400), f, f[:, :1]], np.ones(400)
    w, enough = _coefficients(rows, y, ones, np.arange(400), 3)
    assert enough
    assert w[2] > 0.5
    assert w[3] == pytest.approx(0, abs=1e-6)
    assert not _coefficients(rows[:19], y[:19], ones[:19], np.arange(19), 3)[1]
    c = _level(f[:, 0], 0.3, np.ones(400))
    assert (1 / (1 + np.exp(-f[:, 0] - c))).mean() == pytest.approx(0.3, abs=1e-9)


def test_the_scale_of_a_source_makes_differences_log_odds():
    """Scores half as far apart as the log-odds: the scale is 2; backwards scores get 0."""
    g = torch.Generator().manual_seed(2)
    s = torch.randn(8000, generator=g)
    i = 2 * torch.arange(4000)
    won = torch.rand(4000, generator=g) < torch.sigmoid(2 * (s[i] - s[i + 1]) + 0.5)
    pairs = Pairs.of(
        torch.where(won, i, i + 1), torch.where(won, i + 1, i), position=torch.where(won, 1.0, -1.0)
    )
    slope, report, (p, wins) = pair_calibration(s, pairs, None)
    assert slope == pytest.approx(2, abs=0.25)
    assert report["first_gains"] == pytest.approx(0.5, abs=0.15)
    assert float(p.mean()) == pytest.approx(float(wins.mean()), abs=1e-3)
    assert report["accuracy"]["low"] < report["accuracy"]["value"] < report["accuracy"]["high"]
    assert pair_calibration(-s, pairs, None)[0] == 0


def test_what_a_biased_source_gets_wrong_is_corrected_along_the_features():
    """The score of the source is u + 2 v, and ratings follow u: v is taken out again."""
    g = torch.Generator().manual_seed(4)
    x = torch.randn(600, 5, generator=g)
    u, v = 2 * x[:, 0], x[:, 1]
    y = (torch.rand(600, generator=g) < torch.sigmoid(u)).float()
    eta = Columns({"noisy": torch.full((600,), 0.5), "pairs.battle": torch.sigmoid(u + 2 * v)})
    none = torch.zeros(0, dtype=torch.int64)
    data = Feedback(x, y, torch.ones(600), eta=eta, pairs=Pairs.of(none, none, sources=("battle",)))
    step = joining(("battle",), "noisy")
    parameters, report = step.fit(data, data, 0)
    reward = torch.logit(step.apply(parameters, data)["target"])
    of_u, of_v = (float(torch.corrcoef(torch.stack([reward, a.double()]))[0, 1]) for a in (u, v))
    assert of_u > 0.95
    assert abs(of_v) < 0.2
    assert report["weights"]["battle"] > 0.3


def test_two_kinds_of_feedback_that_contradict_each_other_are_named():
    i = 2 * torch.arange(50)
    pairs = Pairs.of(i, i + 1, sources=("judge",))
    s = (torch.arange(100) % 2).double()  # the losers score higher
    data = Feedback(
        torch.zeros(100, 1), s, torch.ones(100), group=torch.arange(100) // 2, pairs=pairs
    )
    table = agreement({"ratings": s}, data)
    assert table["ratings"]["judge"]["value"] == 0
    assert contradictions(table)[0].startswith("ratings and judge contradict each other")
