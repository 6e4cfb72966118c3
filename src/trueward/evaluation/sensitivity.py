"""Sensitivity of scale and ranking to who reacts: a band over the odds ratio of reacting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from trueward.core.arguments import WHOLE, require_kinds
from trueward.core.errors import TruewardError
from trueward.features.given import feedback_of
from trueward.model.reward_model import fitted

from . import metrics
from .conclusions import Conclusions, Sensitivity
from .log_signals import signal_probabilities
from .noise_corners import noise_corners
from .partial_labels import tilt
from .prompt_pairs import pairs_within_prompts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Conclusions", "Sensitivity", "odds_ratio_from_gold", "sensitivity", "tilted"]

WIDEST = 5.0  # largest odds ratio of reacting, good against bad; the smallest is its inverse
STEPS = 21


def sensitivity(
    model: RewardModel | str | Path, log: Feedback | Log | object, *, seed: int = 0
) -> Sensitivity:
    """Compute how the scores change when reacting depends on quality more than the model assumes.

    P_delta = p f + (1 - p) f e^-delta / (1 - f + f e^-delta) with f the model's P(preferred),
    p = P(rated given x) out of fold, and delta the log odds ratio of reacting, good against bad, beyond
    the model's assumption (methods 4.4). So the odds that an unrated response is good are e^-delta times
    the model's. delta = 0 is the model itself. Under any selection, P is in [p f, p f + 1 - p]. With the
    column ``weight`` means, ranks and pairs are those of the population; a pair counts as the product of
    its two weights, and gold labels count ``weight`` x ``gold_weight``.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model, or its folder.
    log : Feedback, Log, path or table
        A log, with the features that the model reads; texts are encoded with its backbone.
    seed : int, default 0
        Seed of the folds of p.

    Returns
    -------
    Sensitivity
        Mean P(preferred), ranking and order of pairs along the odds ratio. With gold labels on unrated
        rows, the maximum likelihood estimate of the odds ratio and its 95 % interval over rows.

    Raises
    ------
    TruewardError
        If the model identifies only an interval of P(preferred).

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] > 0).float()
    >>> o = (torch.rand(400, generator=g) < 0.5).float()
    >>> log = tw.Feedback(x, r * o, o, group=torch.arange(400) // 4)
    >>> result = tw.sensitivity(tw.fit("naive", *log.split(0.2), epochs=2), log)
    >>> len(result.odds), result.band[0] < result.band[1]
    (21, True)

    """
    require_kinds("sensitivity", seed=(seed, WHOLE))
    model = fitted(model, "sensitivity")
    log = feedback_of(log, model.backbone, "sensitivity")
    scores = model.score_features(log.x)
    if scores.preferred is None:
        raise TruewardError(
            "sensitivity needs one P(preferred) a row, and this model identifies only an interval"
        )
    f = scores.preferred.double().clamp(1e-6, 1 - 1e-6).cpu().numpy()
    rates = signal_probabilities(log, seed)
    group = np.arange(len(f)) if log.group is None else log.group.cpu().numpy()
    w = None if log.weight is None else log.row_weight.cpu().numpy()
    pairs = _Pairs.of(f, np.unique(group, return_inverse=True)[1], w)
    if log.o is None:
        eta = rates["noisy"].double().numpy() if "noisy" in rates else f
        priors = _priors(f, eta, w)
        return Sensitivity((), (priors[0].at, 1.0), (), priors, {}, None, len(f))
    p = rates.get("responds", log.o).double().cpu().numpy()
    deltas = np.linspace(-np.log(WIDEST), np.log(WIDEST), STEPS)
    tilts = ((float(np.exp(d)), tilted(f, p, d)) for d in deltas)
    odds = tuple(
        Conclusions(at, float(np.average(g, weights=w)), _rank(f, g, w), pairs.kept(g))
        for at, g in tilts
    )
    worst = (float(np.average(p * f, weights=w)), float(np.average(p * f + 1 - p, weights=w)))
    noise, warnings = noise_corners(f, model, rates.get("noisy"), w)
    gold = odds_ratio_from_gold(f, log)
    warnings += _gold_warnings(log, gold)
    flips = {f"{share:.0%}": _smallest_flip(f, p, pairs, share) for share in (0.01, 0.05, 0.1)}
    return Sensitivity(odds, worst, noise, (), flips, gold, len(f), tuple(warnings))


def tilted(f: Array, p: Array, delta: float) -> Array:
    """Tilt P(preferred) of unrated responses by a log odds ratio: p f + (1 - p) h, with h by `tilt`.

    Parameters
    ----------
    f : (n,) array
        P(preferred) by the model, in (0, 1).
    p : (n,) array
        P(rated).
    delta : float
        Log odds ratio of reacting, good against bad.

    Returns
    -------
    (n,) array
        P(preferred) under that odds ratio.

    """
    return np.asarray(p * f + (1 - p) * tilt(f, delta)[0])


@dataclass(frozen=True)
class _Pairs:
    """Pairs of answers to one prompt, without ties, and the products of their two weights."""

    better: Index
    worse: Index
    weight: Array | None

    @staticmethod
    def of(f: Array, group: Index, w: Array | None) -> _Pairs:
        i, j = pairs_within_prompts(group)
        i, j = i[f[i] != f[j]], j[f[i] != f[j]]
        better, worse = np.where(f[i] > f[j], i, j), np.where(f[i] > f[j], j, i)
        return _Pairs(better, worse, None if w is None else w[i] * w[j])

    def kept(self, g: Array) -> float:
        """Share of the pairs that ``g`` orders alike; NaN without pairs."""
        right = g[self.better] > g[self.worse]
        return float(np.average(right, weights=self.weight)) if len(right) else np.nan


def _rank(f: Array, g: Array, w: Array | None) -> float:
    return float(metrics.spearman(f, g, np.ones((1, len(f))) if w is None else w[None])[0])


def _smallest_flip(f: Array, p: Array, pairs: _Pairs, share: float) -> float | None:
    """The smallest odds ratio, in either direction, that reverses a share of the pairs."""
    if not len(pairs.better):
        return None

    def excess(delta: float) -> float:
        return 1 - pairs.kept(tilted(f, p, delta)) - share

    roots = [
        abs(brentq(lambda d: excess(float(d)) + 1e-12, 0.0, end, xtol=1e-3))
        for end in (np.log(WIDEST), -np.log(WIDEST))
        if excess(end) >= 0
    ]
    return float(np.exp(min(roots))) if roots else None


def _priors(f: Array, eta: Array, w: Array | None) -> tuple[Conclusions, ...]:
    """P = min(eta prior / share, 1) for priors from the share of clicks to 1, eta = P(click given x)."""
    share = float(np.average(eta, weights=w))
    rank = _rank(f, eta, w)
    conclusions = []
    for prior in np.linspace(share, 1.0, 5):
        g = np.minimum(eta * prior / share, 1.0)
        conclusions.append(Conclusions(float(prior), np.average(g, weights=w).item(), rank, np.nan))
    return tuple(conclusions)


def _gold_warnings(log: Feedback, gold: tuple[float, float, float] | None) -> list[str]:
    """Warn where gold labels give no odds ratio, or one that the table does not reach."""
    if gold is None:
        if log.gold is None or log.o is None:
            return []
        known = int(((log.o == 0) & ~log.gold.isnan()).sum())
        what = "and are all of one class" if known else "so label some of these"
        return [
            f"{known} gold labels are on unrated responses, {what}: the odds ratio is not estimated"
        ]
    value, low, high = gold
    if low >= 1 / WIDEST and high <= WIDEST:
        return []
    return [
        (
            f"the odds ratio from gold labels, {value:.2f} [{low:.2f}, {high:.2f}], leaves the range of the "
            f"table, {1 / WIDEST:g} to {WIDEST:g}"
        )
    ]


def odds_ratio_from_gold(f: Array, log: Feedback) -> tuple[float, float, float] | None:
    """Odds ratio and 95 % interval by maximum likelihood on unrated gold rows: logit P = logit f - delta."""
    if log.gold is None or log.o is None:
        return None
    rows = ((log.o == 0) & ~log.gold.isnan()).cpu().numpy()
    y, s = log.gold.double().cpu().numpy()[rows], logit(f[rows])
    if y.sum() in (0, len(y)):
        return None
    w = log.label_weight.cpu().numpy()[rows]
    w = w / w.mean()
    delta = float(brentq(lambda d: float(w @ (expit(s - d) - y)), -30, 30))
    g = expit(s - delta)
    wide = 1.96 * np.sqrt(w**2 @ (g * (1 - g))) / (w @ (g * (1 - g)))
    low, value, high = (float(np.exp(v)) for v in (delta - wide, delta, delta + wide))
    return value, low, high
