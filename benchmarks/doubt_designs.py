"""Coverage of audits over designs, and of tests with users, for benchmarks/doubt_page.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from trueward.evaluation.audit import gold_probability
from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import AuditRows

if TYPE_CHECKING:
    from collections.abc import Callable

    Held = dict[str, bool | None]

DRAWS = 100  # of each design
#: answers a prompt, gold rows of 2,000, feedback rate
DESIGNS = (
    (1, 100, 0.03),
    (2, 100, 0.3),
    (2, 300, 0.03),
    (4, 30, 0.005),
    (10, 100, 0.3),
    (40, 30, 0.03),
    (40, 300, 0.005),
)
#: users, prompts of each
USERS = ((20, 10), (50, 10), (200, 5))
TESTED = ("auroc", "r2", "brier", "nll", "bias", "spearman", "pair_accuracy", "best_of_n_lift")


def audited(answers: int, golds: int, rate: float, seed: int) -> Held:
    """Return which intervals of an audit hold the truth of the logged rows; None where it gives none."""
    rng, n = np.random.default_rng(seed), 2000
    group = np.arange(n) // answers
    x = rng.standard_normal((n, 6))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(n)[group]
    r = (rng.random(n) < expit(1.5 * u)) * 1.0
    o = (rng.random(n) < rate * np.where(r > 0, 1.4, 0.6)) * 1.0
    y = np.where(rng.random(n) < 0.15, 1 - r, r) * o
    gold = np.where(np.isin(np.arange(n), rng.choice(n, golds, replace=False)), r, np.nan)
    s = x @ np.array([1.2, 0.1, 0.5, 0, 0, 0])
    seen = np.stack([s, o * y, o * (1 - y)], 1)
    g = gold_probability((seen - seen.mean(0), x / np.sqrt(6)), gold, group, seed)
    rows = AuditRows(expit(s), s, gold, g, group)
    known = {k: e.value for k, e in measure(rows.p, score=s, r=r, group=group, draws=0).items()}
    known |= {"accuracy": float(np.mean((rows.p > 0.5) == r)), "good": float(r.mean())}
    found = {k: rows.estimate(k)[0] for k in (*INFLUENCE_FUNCTIONS, "pair_accuracy")}
    return {k: None if e.low is None else e.low <= known[k] <= e.high for k, e in found.items()}


def people(users: int, prompts: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return P(preferred), label, prompt and user: two answers a prompt, users with own level and slope."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), 2 * prompts)
    group = np.repeat(np.arange(users * prompts), 2)
    level, slope = rng.standard_normal((2, users))
    s = rng.standard_normal(len(user))
    own = level[user] + 0.3 * rng.standard_normal(users * prompts)[group]
    return expit(s), (rng.random(len(user)) < expit(own + s * (1 + slope[user]))) * 1.0, group, user


def tested(users: int, prompts: int, truth: dict[str, float], seed: int) -> Held:
    """Return which intervals of a test with users hold the truth of all users."""
    p, r, group, user = people(users, prompts, seed)
    found = measure(p, r=r, group=group, user=user, draws=2)
    return {k: found[k].low <= truth[k] <= found[k].high for k in TESTED}


def line(title: str, found: list[Held]) -> str:
    """Return coverage in percent, and in brackets the share of draws that give a figure if not all."""
    cells = []
    for name in found[0]:
        held = [one[name] for one in found if one[name] is not None]
        some = "" if len(held) == len(found) else f" ({100 * len(held) / len(found):.0f})"
        cells.append(f"{100 * np.mean(held):.0f}{some}" if held else "none")
    return f"| {title} | " + " | ".join(cells) + " |"


def design_lines(each: Callable) -> list[str]:
    """Return the coverage of audits, 100 draws of each design."""
    names = (*INFLUENCE_FUNCTIONS, "pair_accuracy")
    lines = ["| answers, gold rows of 2,000, feedback | " + " | ".join(names) + " |"]
    lines.append("|---" + "|---:" * len(names) + "|")
    for answers, golds, rate in DESIGNS:
        found = each(partial(audited, answers, golds, rate), DRAWS)
        lines.append(line(f"{answers}, {golds}, {100 * rate:g} %", found))
    return lines


def user_lines(each: Callable) -> list[str]:
    """Return the coverage of tests whose prompts share users, 500 draws of each."""
    p, r, group, _ = people(30_000, 5, 10**6)
    truth = {k: e.value for k, e in measure(p, r=r, group=group, draws=0).items()}
    lines = ["| users, prompts of each | " + " | ".join(TESTED) + " |", "|---" + "|---:" * 8 + "|"]
    for users, prompts in USERS:
        lines.append(line(f"{users}, {prompts}", each(partial(tested, users, prompts, truth), 500)))
    return lines
