"""Users in learning: AUROC and Brier score of methods with intercepts of users and without, by world.

    python benchmarks/user_effects.py [seeds] [worlds] [methods]

Every prompt has one user. P(good) = sigmoid(w x + .4), |w| = 1.3; features of a user's prompts have a mean of
their own (sd .5). A user reacts with logit P = a + e_u + .7 (2 r - 1), a so that 20 % react, and says up with
logit P = 1.5 (2 r - 1) + l_u. Test rows are of new users, with true labels. `anchored` has 100 random gold labels.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit

import trueward as tw
from trueward.core.errors import TruewardError
from trueward.core.influence import auroc_influence

ROWS, USERS, FEATURES, GOLD = 12_500, 500, 30, 100
WORLDS = {
    "same": {"leniency": 0.0, "reacting": 0.0},
    "sd1": {},
    "sd2": {"leniency": 2.0},
    "topics": {"along": -0.7},
    "topics_up": {"along": 0.7},
    "even": {"activity": 0.0},
    "bots": {"leniency": 0.0, "reacting": 0.0, "bots": 0.01},
    "bots_sd1": {"bots": 0.01},
    "hidden": {"leniency": 0.0, "reacting": 0.0, "hidden": 1.0},
}
METHODS = ("naive", "three_outcome", "causalrm", "anchored")


def world(seed, leniency=1.0, reacting=1.0, along=0.0, activity=1.0, bots=0.0, hidden=0.0):
    """Draw a log with the true labels of its test rows; see the module's docstring."""
    rng = np.random.default_rng(seed)
    w = np.random.default_rng(1).normal(size=FEATURES)
    w *= 1.3 / np.linalg.norm(w)

    def responses(n, users):
        taste = 0.5 * rng.normal(size=(users, FEATURES))
        share = np.arange(1, users + 1) ** -activity
        user = rng.choice(users, n, p=share / share.sum())
        x = rng.normal(size=(n, FEATURES)) + taste[user]
        toward = taste @ w / (0.5 * np.linalg.norm(w))
        good = rng.random(n) < expit(x @ w + 0.4 + hidden * toward[user])
        return x, user, good.astype(float), toward

    x, user, good, toward = responses(ROWS, USERS)
    lenient = leniency * (along * toward + np.sqrt(1 - along**2) * rng.normal(size=USERS))
    reacts = reacting * rng.normal(size=USERS)
    logit = reacts[user] + 0.7 * (2 * good - 1)
    level = brentq(lambda a: expit(a + logit).mean() - 0.2, -15, 15)
    o = rng.random(ROWS) < expit(level + logit)
    up = rng.random(ROWS) < expit(1.5 * (2 * good - 1) + lenient[user])
    if bots:  # a tenth of the rows: every row rated, always up
        own = rng.choice(ROWS, ROWS // 10, replace=False)
        user[own] = USERS + rng.integers(max(1, round(bots * USERS)), size=len(own))
        o, up = o | (user >= USERS), up | (user >= USERS)
    gold = np.full(ROWS, np.nan)
    drawn = rng.choice(ROWS, GOLD, replace=False)
    gold[drawn] = good[drawn]
    test_x, _, test_good, _ = responses(6000, 6000)
    columns = [torch.as_tensor(v, dtype=torch.float32) for v in (x, up * o, o, gold, test_x)]
    x, y, o, gold, test_x = columns
    log = tw.Feedback(x, y, o, gold=gold, group=torch.arange(ROWS), user=torch.as_tensor(user))
    return log, test_x, test_good


def scores(method, log, x, good, seed, users):
    """AUROC and Brier score on the test rows; tau and use of the intercepts."""
    train, val = log.split(0.2, seed=seed)
    model = tw.fit(method, train, val, seed=seed, users=users)
    p = torch.sigmoid(model.score_features(x).reward).double().numpy()
    return (auroc_influence(p, good).theta, float(np.mean((p - good) ** 2))), model.report


def main(seeds=5, worlds=tuple(WORLDS), methods=METHODS):
    """Print one row a world and method: without intercepts, difference, standard error over seeds."""
    print("world | method | AUROC off | gain | s.e. | worst | Brier off | difference | used | s")
    for name in worlds:
        table, start = defaultdict(list), time.time()
        for seed in range(seeds):
            log, x, good = world(seed, **WORLDS[name])
            for method in methods:
                try:
                    off, _ = scores(method, log, x, good, seed, "off")
                    auto, report = scores(method, log, x, good, seed, "auto")
                except TruewardError as e:
                    print(name, method, seed, e, flush=True)
                    continue
                used = [v["used"] for v in report.get("users", {}).values() if isinstance(v, dict)]
                table[method].append((*off, *np.subtract(auto, off), np.mean(used or [0])))
        for method, rows in table.items():
            a, b, gain, worse, used = np.mean(rows, 0)
            each = np.array(rows)[:, 2]
            error = each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
            print(
                f"{name} | {method} | {a:.3f} | {gain:+.4f} | {error:.4f} | {each.min():+.4f} | "
                f"{b:.3f} | {worse:+.4f} | {used:.1f} | {time.time() - start:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    picked = [a.split(",") for a in sys.argv[2:]]
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, *picked)
