"""How far a model's conclusions hang on who is taken to react: a band over the odds ratio of reacting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from trueward.core.errors import TruewardError

from . import metrics
from .log_signals import signals
from .prediction_powered import within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

WIDEST = 5.0  # odds ratio of reacting, good against bad, and its inverse
STEPS = 21
TAIL = 0.99  # quantile of P(up given rated) that bounds the rates of wrong feedback


@dataclass(frozen=True)
class Moved:
    """What the model's conclusions become under one departure from what it assumes."""

    at: float  # the odds ratio, or the prior
    mean: float  # P(preferred) of the logged responses
    rank: float  # Spearman correlation with the model's own order
    kept: float  # share of the pairs of answers to one prompt that stay in order


@dataclass(frozen=True)
class Sensitivity:
    """Conclusions along the odds ratio, under other noise rates or priors, and what turns them over."""

    odds: tuple[Moved, ...]
    worst: tuple[float, float]  # mean P(preferred) under any selection whatever
    noise: tuple[tuple[float, float, float], ...]  # (rho_01, rho_10, mean)
    priors: tuple[Moved, ...]  # of a log of clicks: P(satisfied), and what it makes of the scale
    flips: dict[
        str, float | None
    ]  # share of pairs -> odds ratio, 1 or more, that turns so many over
    gold: (
        tuple[float, float, float] | None
    )  # odds ratio that gold labels speak for, and its interval
    rows: int

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest mean P(preferred) over the odds ratios."""
        means = [m.mean for m in self.odds]
        return min(means), max(means)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "odds": [vars(m) for m in self.odds],
            "worst": list(self.worst),
            "noise": [dict(zip(("rho_01", "rho_10", "mean"), v, strict=True)) for v in self.noise],
            "priors": [vars(m) for m in self.priors],
            "flips": self.flips,
            "gold": self.gold,
            "rows": self.rows,
        }

    def __str__(self) -> str:
        """Lay out a few lines of the curve, and what turns the conclusions over."""
        lines = (
            [f"{'odds ratio':>10}{'mean P':>9}{'rank':>8}{'pairs kept':>12}"] if self.odds else []
        )
        for m in self.odds[:: max(1, len(self.odds) // 8)]:
            kept = "-" if np.isnan(m.kept) else f"{m.kept:.1%}"
            lines.append(f"{m.at:>10.2f}{m.mean:>9.3f}{m.rank:>8.3f}{kept:>12}")
        lines.append(f"any selection: mean P from {self.worst[0]:.3f} to {self.worst[1]:.3f}")
        if self.noise:
            means = [v[2] for v in self.noise]
            lines.append(f"other noise rates: mean P from {min(means):.3f} to {max(means):.3f}")
        lines += [
            f"P(satisfied) {m.at:.2f}: mean P {m.mean:.3f}, in the same order" for m in self.priors
        ]
        for share, ratio in self.flips.items():
            what = (
                "no odds ratio in the range" if ratio is None else f"an odds ratio of {ratio:.2f}"
            )
            lines.append(f"{what} turns over {share} of the pairs")
        if self.gold is not None:
            value, low, high = self.gold
            lines.append(f"gold labels speak for {value:.2f} [{low:.2f}, {high:.2f}]")
        return "\n".join(lines)


def sensitivity(model: RewardModel, log: Feedback, *, seed: int = 0) -> Sensitivity:
    """Tilt what the model says of unrated responses: their odds of being good are e^-delta times the model's.

    P_delta = p f + (1 - p) f e^-delta / (1 - f + f e^-delta), f the model's P(preferred), p = P(o=1 given x)
    out of fold, delta = log odds ratio of reacting, good against bad, beyond what the model assumes (methods
    4.4). delta = 0 is the model itself; any selection at all leaves P in [p f, p f + 1 - p]. With gold labels
    on unrated rows delta is estimated by maximum likelihood.
    """
    scores = model.score_features(log.x)
    if scores.preferred is None:
        raise TruewardError(
            "sensitivity needs one P(preferred) a row, and this model identifies only an interval"
        )
    f = scores.preferred.double().clamp(1e-6, 1 - 1e-6).cpu().numpy()
    rates = signals(log, seed)
    group = np.arange(len(f)) if log.group is None else log.group.cpu().numpy()
    pairs = _pairs(f, np.unique(group, return_inverse=True)[1])
    if log.o is None:
        eta = rates["noisy"].double().numpy() if "noisy" in rates else f
        return Sensitivity((), (float(eta.mean()), 1.0), (), _priors(f, eta), {}, None, len(f))
    p = rates.get("responds", log.o).double().cpu().numpy()
    odds = tuple(
        Moved(float(np.exp(d)), *_conclusions(f, tilted(f, p, d), pairs))
        for d in np.linspace(-np.log(WIDEST), np.log(WIDEST), STEPS)
    )
    worst = (float((p * f).mean()), float((p * f + 1 - p).mean()))
    noise = _noise(f, model, rates["noisy"].double().numpy()) if "noisy" in rates else ()
    flips = {f"{share:.0%}": _turned(f, p, pairs, share) for share in (0.01, 0.05, 0.1)}
    return Sensitivity(odds, worst, noise, (), flips, _from_gold(f, log), len(f))


def tilted(f: Array, p: Array, delta: float) -> Array:
    """p f + (1 - p) f e^-delta / (1 - f + f e^-delta), (n,)."""
    return np.asarray(p * f + (1 - p) * expit(logit(f) - delta))


def _pairs(f: Array, group: Index) -> tuple[Index, Index]:
    """Pairs of answers to one prompt, the better one first; ties have no order."""
    i, j = within(group)
    better = np.where(f[i] > f[j], i, j), np.where(f[i] > f[j], j, i)
    apart = f[i] != f[j]
    return better[0][apart], better[1][apart]


def _conclusions(f: Array, g: Array, pairs: tuple[Index, Index]) -> tuple[float, float, float]:
    rank = float(metrics.spearman(f, g, np.ones((1, len(f))))[0])
    kept = float((g[pairs[0]] > g[pairs[1]]).mean()) if len(pairs[0]) else float("nan")
    return float(g.mean()), rank, kept


def _turned(f: Array, p: Array, pairs: tuple[Index, Index], share: float) -> float | None:
    """The smallest odds ratio, either way, that turns over a share of the pairs."""
    if not len(pairs[0]):
        return None

    def over(delta: float) -> float:
        g = tilted(f, p, delta)
        return float((g[pairs[0]] <= g[pairs[1]]).mean() - share)

    found = [
        abs(brentq(lambda d: over(float(d)) + 1e-12, 0.0, end, xtol=1e-3))
        for end in (np.log(WIDEST), -np.log(WIDEST))
        if over(end) >= 0
    ]
    return float(np.exp(min(found))) if found else None


def _noise(f: Array, model: RewardModel, q: Array) -> tuple[tuple[float, float, float], ...]:
    """Mean P at the corners of the noise rates: the model's interval, or none and what the log allows.

    P(up given rated) = rho_10 + (1 - rho_01 - rho_10) f under the model's rates gives f under others.
    """
    own = model.report["nuisances"].get("flip_rates", {})
    if "rho_01" in own:
        (a, b) = (own[k]["value"] for k in ("rho_01", "rho_10"))
        ends = [(own[k]["low"], own[k]["high"]) for k in ("rho_01", "rho_10")]
    else:
        a = b = 0.0
        ends = [(0.0, 1 - float(np.quantile(q, TAIL))), (0.0, float(np.quantile(q, 1 - TAIL)))]
    up = b + (1 - a - b) * f
    return tuple(
        (x, y, float(((up - y) / (1 - x - y)).clip(0, 1).mean()))
        for x in ends[0]
        for y in ends[1]
        if x + y < 0.9
    )


def _priors(f: Array, eta: Array) -> tuple[Moved, ...]:
    """The scale under other shares of satisfied users, from that of the clicks to all: P = eta / c."""
    share = float(eta.mean())
    rank = float(metrics.spearman(f, eta, np.ones((1, len(f))))[0])
    found = []
    for prior in np.linspace(share, 1.0, 5):
        g = np.minimum(eta * prior / share, 1.0)
        found.append(Moved(float(prior), float(g.mean()), rank, float("nan")))
    return tuple(found)


def _from_gold(f: Array, log: Feedback) -> tuple[float, float, float] | None:
    """Maximum likelihood of delta on unrated gold rows, logit P(good) = logit f - delta; its interval."""
    if log.gold is None or log.o is None:
        return None
    rows = ((log.o == 0) & ~log.gold.isnan()).cpu().numpy()
    y, s = log.gold.double().cpu().numpy()[rows], logit(f[rows])
    if y.sum() in (0, len(y)):
        return None
    delta = float(brentq(lambda d: float((expit(s - d) - y).sum()), -30, 30))
    g = expit(s - delta)
    wide = 1.96 / np.sqrt((g * (1 - g)).sum())
    low, value, high = (float(np.exp(v)) for v in (delta - wide, delta, delta + wide))
    return value, low, high
