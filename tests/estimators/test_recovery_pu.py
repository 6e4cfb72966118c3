"""Learning from clicks: better than naive in a world made for the method, not where its assumption fails.

Margins: over eight other draws of each world the mean difference in R2 or AUROC lay at least two standard
deviations beyond every margin used here.
"""

from functools import cache

import pytest
import torch
from sklearn.metrics import roc_auc_score

from trueward.data.feedback import Columns, Feedback, Labelled
from trueward.fitting.fit import fit

pytestmark = pytest.mark.slow
EACH = 4  # answers to a prompt, which share a third of their 12 features


def half(x):
    """Every satisfied user is equally likely to act."""
    return torch.full((len(x),), 0.5)


def by_prompt(x):
    return 0.05 + 0.9 * torch.sigmoid(4 * x[:, 11])


def by_answer(x):
    return 0.05 + 0.9 * torch.sigmoid(4 * x[:, 5])


def by_cluster(x):
    """What lies on one side is seen, what lies on the other is not."""
    return torch.where(x[:, 6:].mean(1) > 0, 0.95, 0.02)


def answers(prompts, seed, act, *, logged=None, bad_clicks=0.0, apart=0.0, seen=0.7):
    """Clicks y = r* A with P(A=1) = act(x); ``logged`` is what the log says of act."""
    g = torch.Generator().manual_seed(seed)
    n = prompts * EACH
    group = torch.arange(prompts).repeat_interleave(EACH)
    shared = torch.randn(prompts, 4, generator=g)[group]
    x = torch.cat([torch.randn(n, 8, generator=g), shared], 1)
    if apart:
        side = torch.where(torch.rand(n, generator=g) < seen, apart, -apart)
        x[:, 6:] = torch.randn(n, 6, generator=g) + side[:, None]
    u = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.5 * torch.randn(n, generator=g)
    r, chance = (u > 0).float(), act(x)
    y = (torch.rand(n, generator=g) < torch.where(r > 0, chance, bad_clicks)).float()
    theta = chance if logged is None else logged(chance)
    return Feedback(x, y, group=group, eta=Columns(propensity=theta)), Labelled(x, r, group=group)


@cache
def draws(first=0, **given):
    sizes = (1500, 400, 800)
    return tuple(answers(n, 3 * first + k, **given) for k, n in enumerate(sizes))


def preferred(name, parts, **options):
    """P(good) of the test rows by a model of the clicks."""
    (train, _), (val, _), (_, test) = parts
    return fit(name, train, val, **options).score_features(test.x).preferred


@cache
def naive(parts):
    return preferred("naive", parts)


def score(measure, p, parts):
    r = parts[2][1].r
    if measure == "AUROC":
        return roc_auc_score(r.numpy(), p.numpy())
    return float(1 - (p - r).square().mean() / r.var())


def backwards(theta):
    return 1 - theta


RIGHT = {"act": half}
ANSWER = {"act": by_answer}
WRONG_THETA = {"act": by_answer, "logged": backwards}
BAD_CLICKS = {"act": half, "bad_clicks": 0.25}  # a click does not mean satisfaction
CLUSTERS = {"act": by_cluster, "apart": 1.5}
CASES = {
    # method and options, measure, margin, a world where it is right, a world where it is not
    "upu": ("upu", {"prior": 0.5}, "R2", 0.2, RIGHT, BAD_CLICKS),
    "nnpu": ("nnpu", {"prior": 0.5}, "R2", 0.2, RIGHT, BAD_CLICKS),
    "rmf": ("rmf", {"clip": 0.05}, "AUROC", 0.05, ANSWER, WRONG_THETA),
    "bpr": ("bpr", {}, "AUROC", 0.05, {"act": by_prompt}, ANSWER),
    "ubpr": ("ubpr", {"clip": 0.05}, "AUROC", 0.04, ANSWER, WRONG_THETA),
    "uprl": ("uprl", {"clip": 0.05}, "AUROC", 0.05, ANSWER, WRONG_THETA),
    "uprl point": ("uprl", {"clip": 0.05, "score": "point"}, "R2", 0.2, ANSWER, WRONG_THETA),
    "recrec I": ("recrec", {}, "R2", 0.2, RIGHT, ANSWER),
    "recrec F": ("recrec", {"form": "F"}, "AUROC", 0.09, {"act": by_prompt}, ANSWER),
    "counterif": ("counterif", {}, "AUROC", 0.04, CLUSTERS, RIGHT),
}


def gain(case, world, first=0):
    name, options, measure, *_ = CASES[case]
    parts = draws(first, **world)
    found = preferred(name, parts, **options)
    return score(measure, found, parts) - score(measure, naive(parts), parts)


@pytest.mark.parametrize("case", CASES)
def test_it_beats_naive_where_its_assumption_holds(case):
    *_, margin, right, _ = CASES[case]
    assert gain(case, right) > margin


@pytest.mark.parametrize("case", CASES)
def test_it_does_not_where_its_assumption_fails(case):
    *_, margin, _, wrong = CASES[case]
    assert gain(case, wrong) < margin
