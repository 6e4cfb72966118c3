"""Calibration of P(preferred) on gold labels, and conformal decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, xlogy

from trueward.core.clustering import clusters, few_warnings
from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed
from trueward.data.splits import fold_of, prompt_numbers
from trueward.estimation.gold_regression import enough
from trueward.estimation.nuisances import platt

from .calibration_limits import calibration_warnings, undecided_above
from .conformal import GoldRows, decisions, guarantee, known_level, limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.core.clustering import Clusters

    Array = NDArray[np.float64]

NEAR = 1e-6  # smallest distance of P from 0 and 1
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Calibration:
    """A map from P(preferred) to P(gold label = 1), and nonconformity scores for conformal decisions.

    Attributes
    ----------
    kind : str
        ``none``: P; ``platt``: sigmoid(a logit P + b); ``beta``: sigmoid(a log P - c log(1 - P) + b) with
        a, c >= 0; ``isotonic``: linear interpolation between knots.
    parameters : Tensor
        Parameters of the map: (a, b), (a, c, b), or knots (2, k).
    nonconformity : Tensor
        (m,) nonconformity scores 1 - P(label) of the gold rows, sorted, each from a fit on other prompts. A
        graded label gives two.
    cumulative_weight : Tensor or None
        (m + 1,) cumulative weights of the scores, then of a new prompt. None: every score has weight 1.
    label : Tensor or None
        (m,) labels 0 or 1 of the scores. None in models that an earlier release calibrated.
    class_mass : Tensor or None
        (2,) mass of a new prompt among the good scores and among the bad ones.

    References
    ----------
    Beta calibration: Kull, Silva Filho and Flach, AISTATS 2017.

    """

    kind: str
    parameters: Tensor
    nonconformity: Tensor
    cumulative_weight: Tensor | None = None
    label: Tensor | None = None
    class_mass: Tensor | None = None

    def __call__(self, p: Tensor) -> Tensor:
        """Map probabilities of any shape."""
        mapped = MAPS[self.kind](
            p.double().clamp(NEAR, 1 - NEAR).numpy(), self.parameters.double().numpy()
        )
        return torch.from_numpy(np.asarray(mapped)).clamp(NEAR, 1 - NEAR)

    def decide(self, p: Tensor, level: float, *, by_class: bool = False) -> Tensor:
        """Decide good or bad where the conformal set at ``level`` holds one label.

        Parameters
        ----------
        p : Tensor
            (n,) calibrated P(preferred).
        level : float
            Confidence in [0.5, 1).
        by_class : bool, default False
            Class-conditional sets: the confidence holds among good and among bad responses, not only on
            average over both.

        Returns
        -------
        Tensor
            (n,) 1 good, 0 bad, -1 where the set holds both labels or none.

        Raises
        ------
        UsageError
            If ``level`` is out of its range.
        TruewardError
            If class-conditional sets are asked of a model that an earlier release calibrated.

        Notes
        -----
        A label is in the set where 1 - P(label) is at most the first nonconformity score at which the
        cumulative weight reaches ``level`` of the total, of all scores or of those with this label. The total
        includes a new prompt; with one gold row a prompt and without weights it is the ceil((n + 1) level)-th
        score. The set contains the label of a response to a new prompt with probability ``level`` or more,
        if that prompt is drawn as those of the gold rows were. Undecided responses count as right, so the
        error among decided ones is larger than 1 - ``level``: ``report["decisions"]`` of `fit` estimates it.

        References
        ----------
        Vovk, Gammerman and Shafer, 2005. Weighted: Tibshirani, Barber, Candes and Ramdas, NeurIPS 2019.
        Class-conditional: Vovk, ACML 2012. By prompt: Dunn, Wasserman and Ramdas, JASA 2023.

        """
        known_level(level)
        score = self.nonconformity.double().numpy()
        n = len(score)
        total = (
            np.arange(1.0, n + 2)
            if self.cumulative_weight is None
            else self.cumulative_weight.numpy()
        )
        weight = np.diff(total, prepend=0.0)
        if by_class and (self.label is None or self.class_mass is None):
            raise TruewardError(
                "decisions by class need the labels of the gold rows, and this model was calibrated by an "
                "earlier release: run trueward calibrate again"
            )
        label = np.zeros(n) if self.label is None else self.label.numpy()
        masses = (1.0, 1.0) if self.class_mass is None else tuple(self.class_mass.tolist())
        largest = limits(score, label, weight[:n], (float(weight[n]), *masses), level, by_class)
        return torch.from_numpy(decisions(p.double().cpu().numpy(), largest)).to(p.device)

    @staticmethod
    def fit(
        p: Tensor,
        label: Tensor,
        group: Tensor | None,
        seed: int,
        weight: Tensor | None = None,
        new_weight: float = 1.0,
        user: Tensor | None = None,
    ) -> tuple[Calibration, dict[str, Any]]:
        """Fit all kinds, and choose the simplest within a standard error of the best held-out log-loss.

        Parameters
        ----------
        p : Tensor
            (n,) P(preferred) of the gold rows.
        label : Tensor
            (n,) gold labels in [0, 1].
        group : Tensor or None
            (n,) prompts; folds do not divide a prompt.
        seed : int
            Root of the random stream ``calibration``, which draws the folds.
        weight : Tensor, optional
            (n,) number of responses that each gold row stands for.
        new_weight : float, default 1
            Mean weight of a new response.
        user : Tensor, optional
            (n,) users, by which standard errors are clustered, too; below 0 unknown.

        Returns
        -------
        calibration : Calibration
            The map on all gold rows.
        report : dict
            ``kind``, number of ``gold`` labels, held-out ``log_loss`` of every kind; ``decisions``: for a
            confidence of .9 and .95, by class or not, the share of decided responses and the error among
            them; ``guarantee``: what the confidence holds for; and any ``warning``.

        Raises
        ------
        TruewardError
            If there are too few gold labels, or only one class of them.

        """
        q, y = p.double().clamp(NEAR, 1 - NEAR).numpy(), label.double().numpy()
        w = np.ones(len(y)) if weight is None else weight.double().numpy()
        enough(y)
        ids = prompt_numbers(len(y), group)
        k = min(FOLDS, int(ids.max()) + 1)
        fold = fold_of(len(y), k, stream_seed(seed, "calibration"), ids).numpy()
        held_out = {kind: _held_out(kind, q, y, w, fold) for kind in FITS}
        loss = {kind: -xlogy(y, v) - xlogy(1 - y, 1 - v) for kind, v in held_out.items()}
        units = clusters(
            len(y),
            group=ids.numpy(),
            user=None if user is None else prompt_numbers(len(y), user).numpy(),
        )
        kind = _simplest_good(loss, w, units)
        gold = GoldRows(held_out[kind], y, w, new_weight, ids.numpy())
        score, own, mass = gold.scores()
        new, *by_class = gold.new_mass()
        total, parameters = np.cumsum(np.append(mass, new)), np.asarray(FITS[kind](q, y, w))
        report: dict[str, Any] = {"kind": kind, "gold": len(y)}
        report["log_loss"] = {k: round(float(np.average(v, weights=w)), 4) for k, v in loss.items()}
        report |= {"decisions": gold.report(units), "guarantee": guarantee(gold, units)}
        warnings = calibration_warnings(kind, parameters, loss, y, w, fold) + undecided_above(total)
        warnings += few_warnings(units.effective(w))
        if warnings:
            report["warning"] = "; ".join(warnings)
        parts = (parameters, score, total, own, by_class)
        tensors = (torch.from_numpy(np.asarray(v, dtype=np.float64)) for v in parts)
        return Calibration(kind, *tensors), report


def _held_out(kind: str, q: Array, y: Array, w: Array, fold: NDArray[np.int64]) -> Array:
    """Calibrated P of every row by a fit on the other folds."""
    p = np.empty(len(y))
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        one_class = len(np.unique(y[train] > 0.5)) < 2
        if one_class:
            p[test] = q[test]
        else:
            p[test] = MAPS[kind](q[test], FITS[kind](q[train], y[train], w[train]))
    return p.clip(NEAR, 1 - NEAR)


def _simplest_good(loss: dict[str, Array], w: Array, units: Clusters) -> str:
    """The first kind whose loss is within a standard error of the lowest, clustered by prompt and user."""
    best = min(loss.values(), key=lambda v: float(np.average(v, weights=w)))
    for kind, v in loss.items():
        gap = v - best
        mean = float(np.average(gap, weights=w))
        if mean <= np.sqrt(units.variance(w * (gap - mean) / w.sum(), w)):
            return kind
    raise AssertionError(loss)


def _fit_platt(q: Array, y: Array, w: Array) -> Array:
    logit = torch.logit(torch.from_numpy(q))
    return np.array(platt(logit, torch.from_numpy(y), torch.from_numpy(w)))


def _fit_beta(q: Array, y: Array, weight: Array) -> Array:
    a = np.stack([np.log(q), -np.log1p(-q), np.ones(len(q))], 1)

    def risk(w: Array) -> tuple[float, Array]:
        v = a @ w
        pull = w - [1, 1, 0]  # a ridge of one observation
        value = np.average(np.logaddexp(0, v) - y * v, weights=weight) + 0.5 * pull @ pull / len(y)
        return float(value), a.T @ (weight * (expit(v) - y)) / weight.sum() + pull / len(y)

    bounds = [(0, None), (0, None), (None, None)]
    return np.asarray(minimize(risk, [1.0, 1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B").x)


def _fit_isotonic(q: Array, y: Array, w: Array) -> Array:
    """Knots (2, k); the values are shrunk towards the mean by the weight of one observation."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - slow to import

    n = len(y)
    regression = IsotonicRegression(out_of_bounds="clip").fit(q, y, sample_weight=w)
    values = (regression.y_thresholds_ * n + np.average(y, weights=w)) / (n + 1)
    return np.stack([regression.X_thresholds_, values])


# simplest first
FITS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "none": lambda _q, _y, _w: np.zeros(0),
    "platt": _fit_platt,
    "beta": _fit_beta,
    "isotonic": _fit_isotonic,
}
MAPS: dict[str, Callable[[Array, Array], Array]] = {
    "none": lambda q, _w: q,
    "platt": lambda q, w: np.asarray(expit(w[0] * (np.log(q) - np.log1p(-q)) + w[1])),
    "beta": lambda q, w: np.asarray(expit(w[0] * np.log(q) - w[1] * np.log1p(-q) + w[2])),
    "isotonic": lambda q, w: np.asarray(np.interp(q, w[0], w[1])),
}
