"""Coverage of audits over designs, and of tests with users, for benchmarks/doubt_page.py.

Counts of finished draws are appended to designs.jsonl and users.jsonl in the folder of the run: an interrupted run goes
on where it was, and --draws N adds draws until every design has N. Delete these files after a change of the intervals.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from trueward.evaluation.audit import gold_probability
from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS
from trueward.evaluation.measure import measure
from trueward.evaluation.prediction_powered import AuditRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Held = dict[str, bool | None]
    Counts = dict[
        str, list[int]
    ]  # name -> intervals that hold the truth, draws with an interval, draws

DRAWS = 400  # of each design, unless --draws says otherwise
CHUNK = 100  # draws between two writes
ROWS = 2000
#: users, prompts of each
USERS = ((20, 10), (50, 10), (200, 5))
TESTED = ("auroc", "r2", "brier", "nll", "bias", "spearman", "pair_accuracy", "best_of_n_lift")
AUDITED = (*INFLUENCE_FUNCTIONS, "pair_accuracy")


@dataclass(frozen=True)
class Design:
    """How gold labels come about in a log of 2,000 rows."""

    answers: int
    golds: int
    rate: float  # of feedback
    draw: str = "rows"  # rows, prompts or users: what is drawn at random and labelled whole
    users: int = 0  # users with a level of their own; 0: none
    future: bool = False  # --future: the truth is that of all prompts and users

    @property
    def title(self) -> str:
        """Return the design without its rate."""
        users = f", {self.users} users" if self.users else ""
        future = ", `--future`" if self.future else ""
        return f"{self.answers}, {self.golds} by {self.draw}{users}{future}"


#: Drawn rows: every number of answers, gold rows and rate; then whole prompts, users, and future prompts.
DESIGNS = (
    *(
        Design(a, g, o)
        for a in (1, 2, 4, 10, 40)
        for g in (30, 100, 300)
        for o in (0.005, 0.03, 0.3)
    ),
    *(
        Design(a, g, 0.03, "prompts")
        for a, g in ((2, 100), (2, 300), (4, 100), (4, 300), (10, 300))
    ),
    *(Design(4, g, 0.03, "rows", u) for u in (20, 100) for g in (100, 300)),
    *(Design(4, 600, 0.03, "users", u) for u in (50, 100)),
    *(Design(4, g, 0.03, "rows", u, future=True) for u in (0, 20, 100) for g in (100, 300)),
)


def world(rng: np.random.Generator, n: int, answers: int, users: int) -> tuple[np.ndarray, ...]:
    """Return features, label, prompt and user; prompts and users have a level of their own."""
    group = np.arange(n) // answers
    user = rng.integers(users, size=n)[group] if users else group
    x = rng.standard_normal((n, 6))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(n)[group]
    if users:
        u = u + rng.standard_normal(users)[user]
    return x, (rng.random(n) < expit(1.5 * u)) * 1.0, group, user


def score(x: np.ndarray) -> np.ndarray:
    """Return the model's score."""
    return x @ np.array([1.2, 0.1, 0.5, 0, 0, 0])


def values(s: np.ndarray, r: np.ndarray, group: np.ndarray) -> dict[str, float]:
    """Return the metrics of rows whose labels are all known."""
    found = {k: e.value for k, e in measure(expit(s), score=s, r=r, group=group, draws=0).items()}
    return found | {"accuracy": float(np.mean((s > 0) == r)), "good": float(r.mean())}


@cache
def all_prompts(answers: int, users: bool) -> dict[str, float]:
    """Return the metrics on 400,000 rows, where there are users of one prompt each."""
    n = 400_000
    x, r, group, _ = world(np.random.default_rng(10**9), n, answers, n if users else 0)
    return values(score(x), r, group)


def audited(design: Design, seed: int) -> Held:
    """Return which intervals of an audit hold the truth; None where it gives none."""
    rng = np.random.default_rng([DESIGNS.index(design), seed])
    x, r, group, user = world(rng, ROWS, design.answers, design.users)
    o = (rng.random(ROWS) < design.rate * np.where(r > 0, 1.4, 0.6)) * 1.0
    y = np.where(rng.random(ROWS) < 0.15, 1 - r, r) * o
    unit = {"rows": np.arange(ROWS), "prompts": group, "users": user}[design.draw]
    ids = np.unique(unit)
    drawn = rng.choice(ids, design.golds * len(ids) // ROWS, replace=False)
    gold = np.where(np.isin(unit, drawn), r, np.nan)
    s = score(x)
    seen = np.stack([s, o * y, o * (1 - y)], 1)
    g = gold_probability((seen - seen.mean(0), x / np.sqrt(6)), gold, group, seed)
    known = user if design.users else None
    rows = AuditRows(expit(s), s, gold, g, group, future=design.future, user=known)
    truth = all_prompts(design.answers, design.users > 0) if design.future else values(s, r, group)
    found = {k: rows.estimate(k)[0] for k in AUDITED}
    return {k: None if e.low is None else e.low <= truth[k] <= e.high for k, e in found.items()}


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


def counted(each: Callable, one: Callable, file: Path, title: str, draws: int) -> Counts:
    """Return the counts of the draws of a design, those in the file and those that are missing."""
    done = (
        [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    )
    counts: Counts = {}
    for part in (line["counts"] for line in done if line["design"] == title):
        _add(counts, part)
    start = next(iter(counts.values()))[2] if counts else 0
    for first in range(start, draws, CHUNK):
        part = {}
        for held in each(partial(_shifted, one, first), min(CHUNK, draws - first)):
            _add(part, {k: [int(bool(v)), int(v is not None), 1] for k, v in held.items()})
        _add(counts, part)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"design": title, "counts": part}) + "\n")
    return counts


def _shifted(one: Callable, first: int, seed: int) -> Held:
    return one(first + seed)


def _add(counts: Counts, more: Counts) -> None:
    for name, numbers in more.items():
        counts[name] = [a + b for a, b in zip(counts.get(name, [0, 0, 0]), numbers, strict=True)]


def line(title: str, counts: Counts) -> str:
    """Return draws, coverage in percent, and in brackets the share of draws that give a figure if not all."""
    draws = next(iter(counts.values()))[2]
    cells = [f"{draws:,}"]
    for held, given, _ in counts.values():
        some = "" if given == draws else f" ({100 * given / draws:.0f})"
        rare = given < draws / 20  # too few to say how often they hold the truth
        cells.append("none" if rare else f"{100 * held / given:.0f}{some}")
    return f"| {title} | " + " | ".join(cells) + " |"


def head(first: str, names: Iterable[str]) -> list[str]:
    """Return the head of a table."""
    names = ["draws", *names]
    return [f"| {first} | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]


def design_lines(each: Callable, out: Path, draws: int = DRAWS) -> list[str]:
    """Return the coverage of audits: over the rates together, then every design."""
    found = {}
    for design in DESIGNS:
        title = f"{design.title}, {100 * design.rate:g} %"
        found[design] = counted(each, partial(audited, design), out / "designs.jsonl", title, draws)
    together: dict[str, Counts] = {}
    for design, counts in found.items():
        _add(together.setdefault(design.title, {}), counts)
    lines = [
        *head(f"answers, gold rows of {ROWS:,}", AUDITED),
        *(line(t, c) for t, c in together.items()),
    ]
    lines += ["", *head("every rate of feedback", AUDITED)]
    return lines + [line(f"{d.title}, {100 * d.rate:g} %", c) for d, c in found.items()]


def user_lines(each: Callable, out: Path, draws: int = DRAWS) -> list[str]:
    """Return the coverage of tests whose prompts share users."""
    p, r, group, _ = people(30_000, 5, 10**6)
    truth = {k: e.value for k, e in measure(p, r=r, group=group, draws=0).items()}
    lines = head("users, prompts of each", TESTED)
    for users, prompts in USERS:
        title, one = f"{users}, {prompts}", partial(tested, users, prompts, truth)
        lines.append(line(title, counted(each, one, out / "users.jsonl", title, draws)))
    return lines
