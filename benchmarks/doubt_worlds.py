"""Simulated tables and logs with known truth, for benchmarks/doubt_page.py."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from trueward.data.feedback import Feedback
from trueward.evaluation.audit import gold_probability
from trueward.evaluation.prediction_powered import AuditRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def table(seed: int, prompts: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return P(preferred), label and prompt of four answers a prompt, with a random effect of the prompt."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(prompts), 4)
    x = rng.standard_normal((4 * prompts, 2))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(prompts)[group]
    r = (rng.random(4 * prompts) < expit(1.5 * u)).astype(float)
    return expit(1.2 * x[:, 0] + 0.4), r, group


def audited(
    seed: int, *, by_prompt: bool, n: int = 2000, golds: int = 300
) -> tuple[AuditRows, Array]:
    """Return audit rows and labels, as in tests/evaluation/test_audit.py: selection on the label, noise rate .15."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n // 4), 4)
    x = rng.standard_normal((n, 6))
    u = x[:, 0] + 0.5 * x[:, 1] + 0.7 * rng.standard_normal(n // 4)[group]
    r = (rng.random(n) < expit(1.5 * u)).astype(float)
    o = (rng.random(n) < np.where(r > 0, 0.4, 0.15)).astype(float)
    y = np.where(rng.random(n) < 0.15, 1 - r, r) * o
    chosen = np.isin(np.arange(n), rng.choice(n, golds, replace=False))
    if by_prompt:
        chosen = np.isin(group, rng.choice(n // 4, golds // 4, replace=False))
    gold = np.where(chosen, r, np.nan)
    s = x @ np.array([1.2, 0.1, 0.5, 0, 0, 0])
    seen = np.stack([s, o * y, o * (1 - y)], 1)
    g = gold_probability((seen - seen.mean(0), x / np.sqrt(6)), gold, group, seed)
    return AuditRows(expit(s), s, gold, g, group), r


def anchored(seed: int, *, n: int, width: int) -> Feedback:
    """Return a log with anchors: half rated at random, noise rates .1 and .2, P(r = 1) mostly near 0 or 1."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(8 * x[:, 0])).float()
    flip = torch.rand(n, generator=g) < torch.where(r > 0, 0.1, 0.2)
    o = (torch.rand(n, generator=g) < 0.5).float()
    return Feedback(x, torch.where(flip, 1 - r, r) * o, o, group=torch.arange(n) // 4)


def labelled(
    seed: int, *, by_x: bool, n: int = 1000, golds: int = 300
) -> tuple[Feedback, torch.Tensor]:
    """Return a log with gold labels drawn uniformly or by x_2; ratings by x_2; a large x_2 weakens the effect of x_1."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g)
    r = (
        torch.rand(n, generator=g) < torch.sigmoid(4 * x[:, 0] * torch.sigmoid(-3 * x[:, 1]))
    ).float()
    near = torch.sigmoid(-1.5 * x[:, 1] - 1)
    o = (torch.rand(n, generator=g) < near).float()
    chance = near * golds / near.sum() if by_x else torch.full((n,), golds / n)
    gold = torch.where(torch.rand(n, generator=g) < chance, r, torch.nan)
    return Feedback(x, r * o, o, gold=gold, group=torch.arange(n)), r


def selected(seed: int, *, n: int = 12_000) -> tuple[Feedback, torch.Tensor]:
    """Return a log without noise; the odds ratio of being rated, good to bad, is between 1/5 and 5."""
    g = torch.Generator().manual_seed(seed)
    ratio = (2 * float(torch.rand(1, generator=g)) - 1) * math.log(5)
    x = torch.randn(n, 4, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(1.5 * x[:, 0])).float()
    o = (torch.rand(n, generator=g) < torch.sigmoid(-1.5 + ratio * r)).float()
    return Feedback(x, r * o, o, group=torch.arange(n) // 4), r


def plain(seed: int, *, n: int = 1500, width: int = 16) -> Feedback:
    """Return a log without faults: half rated, completely at random, without noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=g)
    r = (torch.rand(n, generator=g) < torch.sigmoid(3 * x[:, 0])).float()
    o = (torch.rand(n, generator=g) < 0.5).float()
    return Feedback(x, r * o, o, group=torch.arange(n) // 3)
