"""Several channels: their likelihood by hand, their identity, whether they agree, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from trueward.core.errors import TruewardError, UsageError
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.estimation.capture_recapture import agreement, products
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import make
from trueward.fitting.fit import fit

NAN = float("nan")


def one_row(**channels):
    n = torch.zeros(1)
    return Feedback(
        n[:, None], n, channels=Columns({k: torch.tensor([v]) for k, v in channels.items()})
    )


def loss(b, gamma, activity, **options):
    """The loss of one row with these probabilities in place of logits."""
    method = make("channels", {"channels": tuple(b.channels), "form": "likelihood", **options})
    logit = lambda p: torch.logit(torch.tensor([p]))  # noqa: E731
    out = {"reward": logit(gamma), "level": torch.zeros(1)}
    for k, a in enumerate(activity):
        out |= {f"activity_{k}": logit(a), f"level_{k}": torch.zeros(1)}
    return float(method.loss(Columns(out), b))


@pytest.mark.parametrize(
    ("copy", "like", "chance"),
    [
        (1.0, 1.0, 0.6 * 0.5 * 0.2),
        (1.0, 0.0, 0.6 * 0.5 * 0.8),
        (0.0, 1.0, 0.6 * 0.5 * 0.2),
        (0.0, 0.0, 0.6 * 0.5 * 0.8 + 0.4),
        (1.0, NAN, 0.6 * 0.5),
        (0.0, NAN, 0.6 * 0.5 + 0.4),
        (NAN, NAN, 1.0),
    ],
)
def test_the_likelihood_of_a_pattern(copy, like, chance):
    """gamma .6, activities .5 and .2; what is not logged is left out."""
    assert loss(one_row(copy=copy, like=like), 0.6, (0.5, 0.2)) == pytest.approx(
        -math.log(chance), abs=1e-5
    )


@pytest.mark.parametrize(
    ("copy", "like", "chance"),
    [(1.0, 0.0, 0.6 * 0.5 * 0.8), (0.0, 0.0, 0.6 * 0.5 * 0.8 + 0.4), (1.0, NAN, 0.6 * 0.5)],
)
def test_in_two_steps_the_same_with_activity_found_first(copy, like, chance):
    b = one_row(copy=copy, like=like)
    eta = Columns({"activity.copy": torch.tensor([0.5]), "activity.like": torch.tensor([0.2])})
    out = Columns(reward=torch.logit(torch.tensor([0.6])), level=torch.zeros(1))
    method = make("channels", {"channels": ("copy", "like")})
    assert float(method.loss(out, replace(b, eta=eta))) == pytest.approx(
        -math.log(chance), abs=1e-5
    )


def test_a_negative_channel_is_evidence_for_bad():
    """copy 1 and regenerate 0: a satisfied user who copies; .4 are not satisfied, and they never copy."""
    found = loss(one_row(copy=1.0, regenerate=0.0), 0.6, (0.5, 0.2), negative=("regenerate",))
    assert found == pytest.approx(-math.log(0.6 * 0.5), abs=1e-5)
    found = loss(one_row(copy=0.0, regenerate=1.0), 0.6, (0.5, 0.2), negative=("regenerate",))
    assert found == pytest.approx(-math.log(0.4 * 0.2), abs=1e-5)


def test_misclicks_make_a_click_on_a_bad_answer_possible():
    """P(copy | good) = .1 + .9 .5 = .55, P(copy | bad) = .1; like has .05 + .95 .2 = .24 and .05."""
    found = loss(one_row(copy=1.0, like=0.0), 0.6, (0.5, 0.2), misclick=(0.1, 0.05))
    assert found == pytest.approx(-math.log(0.6 * 0.55 * 0.76 + 0.4 * 0.1 * 0.95), abs=1e-5)


def test_the_products_give_gamma_of_independent_channels():
    gamma, mu = 0.6, {"a": 0.5, "b": 0.25, "c": 0.8}
    for product in products(tuple(mu)).values():
        value = math.prod(
            (gamma * math.prod(mu[k] for k in names)) ** e for names, e in product.items()
        )
        assert value == pytest.approx(gamma)


def world(n=20_000, seed=0, *, busy=0.0):
    """gamma .3 or .8 by kind; three channels; ``busy`` users fire more of everything."""
    rng = np.random.default_rng(seed)
    gamma = np.where(np.arange(n) % 2, 0.8, 0.3)
    r = rng.random(n) < gamma
    mood = 1 + busy * rng.choice([-1, 1], n)
    mu = {"copy": 0.5, "like": 0.4, "share": 0.3}
    y = {k: (r & (rng.random(n) < m * mood)).astype(float) for k, m in mu.items()}
    moment = 1 + busy**2  # E[mood^2], and E[mood^3] = 1 + 3 busy^2
    rates = {}
    for names in ({k} for product in products(tuple(mu)).values() for k in product):
        (k,) = names
        more = {1: 1.0, 2: moment, 3: 1 + 3 * busy**2}[len(k)]
        rates[f"channel.{'&'.join(k)}"] = torch.from_numpy(
            gamma * math.prod(mu[j] for j in k) * more
        )
    channels = Columns({k: torch.from_numpy(v) for k, v in y.items()})
    b = Feedback(
        torch.zeros(n, 1),
        torch.zeros(n),
        channels=channels,
        group=torch.arange(n),
        eta=Columns(rates),
    )
    return b, gamma


def test_independent_channels_agree_and_each_gives_the_mean_reward():
    b, gamma = world()
    pairs = agreement(("copy", "like", "share"))
    at, report = pairs.fit(b, b, 0)
    assert report["test"]["p"] > 0.001
    for about in report["mean_reward"].values():
        assert about["low"] < 0.55 < about["high"]
    assert pairs.apply(at, b)["target"].numpy() == pytest.approx(gamma, abs=1e-6)


def test_dependent_channels_disagree_and_the_report_warns():
    """Pairs give .55 / (1 + .25), three give .55 (1 + .75) / (1 + .25)^3."""
    b, _ = world(busy=0.5)
    _, report = agreement(("copy", "like", "share")).fit(b, b, 0)
    assert report["test"]["p"] < 0.001
    assert "disagree" in report["warning"]
    means = {k: v["value"] for k, v in report["mean_reward"].items()}
    assert means["copy&like"] == pytest.approx(0.55 / 1.25, abs=0.02)
    assert means["copy&like&share"] == pytest.approx(0.55 * 1.75 / 1.25**3, abs=0.04)


def log(**columns):
    n = 60
    return Feedback(
        torch.randn(n, 3), torch.zeros(n), channels=Columns(columns), group=torch.arange(n)
    )


CALLS = torch.arange(60)


@pytest.mark.parametrize(
    ("copy", "like", "words"),
    [
        ((CALLS % 2).float(), torch.zeros(60), "of one value here: like"),
        (torch.ones(60), (CALLS % 2).float(), "of one value here: copy"),
        ((CALLS % 2).float(), (1 - CALLS % 2).float(), "fire together in 5 rows or more"),
    ],
)
def test_channels_without_information_are_refused_with_what_is_missing(copy, like, words):
    b = log(copy=copy, like=like)
    with pytest.raises(TruewardError) as e:
        fit("channels", *b.split(0.2))
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_one_channel_is_not_enough():
    assert "two or more channel" in lacking(
        make("channels"), LogCapabilities.from_feedback(log(copy=torch.ones(60)))
    )
    with pytest.raises(UsageError, match="two channels or more"):
        make("channels", {"channels": "copy"})


def test_a_channel_that_is_not_logged_is_named():
    b = log(copy=(CALLS % 2).float(), like=(CALLS % 3 == 0).float())
    assert "channel.nope" in lacking(
        make("channels", {"channels": "copy,nope"}), LogCapabilities.from_feedback(b)
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"channels": "a,b", "misclick": "0.1,0.1,0.1"}, "one rate, or one for each"),
        ({"channels": "a,b", "negative": "c"}, "none of"),
        ({"channels": "a,b", "misclick": "0.7"}, "[0, 0.5]"),
        ({"channels": "a,b", "form": "ratio", "negative": "b"}, "no negative"),
    ],
)
def test_contradictory_options_are_refused(given, words):
    with pytest.raises(UsageError) as e:
        make("channels", given)
    assert words in str(e.value)


@pytest.mark.slow
class TestRecovery:
    """Margins: over eight other draws the share of the oracle's R2 lay two standard deviations beyond."""

    def parts(self, *, busy=0.0):
        g = torch.Generator().manual_seed(3)
        made = []
        for n in (8000, 2000, 4000):
            x = torch.randn(n, 24, generator=g)
            r = (x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * torch.randn(n, generator=g) > 0).float()
            mood = busy * torch.randn(n, generator=g)
            y = {
                k: r * (torch.rand(n, generator=g) < torch.sigmoid(x[:, 5 + j] + mood + c)).float()
                for j, (k, c) in enumerate((("copy", 0.5), ("like", -0.5)))
            }
            b = Feedback(x, torch.zeros(n), channels=Columns(y), group=torch.arange(n))
            made.append((b, Labelled(x, r, group=torch.arange(n))))
        return made

    def share(self, parts):
        (train, truth), (val, val_truth), (test, t) = parts
        found = []
        for name, data in (("channels", (train, val)), ("oracle", (truth, val_truth))):
            p = fit(name, *data).score_features(test.x).preferred
            found.append(float(1 - (p - t.r).square().mean() / t.r.var()))
        return found[0] / found[1]

    def test_two_channels_give_nine_tenths_of_what_clean_labels_do(self):
        assert self.share(self.parts()) > 0.9

    def test_channels_of_busy_users_do_not(self):
        assert self.share(self.parts(busy=2.0)) < 0.9
