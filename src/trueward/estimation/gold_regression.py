"""Logistic regression of gold labels on the evidence of the log and on the features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import expit

from trueward.core.errors import TruewardError
from trueward.data.splits import prompt_numbers

from .asked_labels import asked_labels
from .gold_report import gold_report
from .nuisance_types import Computed
from .regression_design import CHUNK, design, label_weights, row_weights, scaling
from .ridge_logistic import (
    FEATURE_SDS,
    CoefficientPrior,
    MapEstimate,
    RegressionData,
    average_coefficients,
    feature_sd_posterior,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    EvidenceFunction = Callable[
        [Feedback], list[Tensor]
    ]  # n rows -> (n,) log-odds each, naive's first

FEWEST_GOLD = 10  # gold labels a fit needs
SCALE_BESIDE_EVIDENCE, SCALE_ALONE = (
    0.5,
    2.0,
)  # half-normal prior of s: at least, and without evidence
COLUMNS = ("target", "low", "high")


@dataclass(frozen=True)
class GoldRegression:
    """Log-odds of a good answer, regressed on gold labels, with their posterior covariance.

    Attributes
    ----------
    w : ndarray, shape (p,)
        Coefficients: MAP estimates averaged over the posterior of s.
    covariance : ndarray, shape (p, p)
        Posterior covariance of the coefficients: Laplace's given s plus that of the MAP estimates over s,
        times `design_effect`.

    """

    w: Array
    covariance: Array

    @staticmethod
    def fit(
        gold: RegressionData, prior: CoefficientPrior
    ) -> tuple[GoldRegression, dict[float, tuple[float, MapEstimate]]]:
        """Fit gold rows; return the regression and the posterior of s.

        Parameters
        ----------
        gold : RegressionData
            Rows with a gold label.
        prior : CoefficientPrior
            Prior of intercept and evidence.

        Returns
        -------
        regression : GoldRegression
        posterior : dict of float to (float, MapEstimate)
            s -> its posterior share and the MAP estimate given s.

        """
        posterior = gold_posterior(gold, prior)
        columns = gold.design.shape[1]
        w = average_coefficients(posterior.values(), columns)
        covariance = np.zeros((columns, columns))
        for share, estimate in posterior.values():
            k = len(estimate.w)
            off = np.r_[estimate.w, np.zeros(columns - k)] - w
            covariance += share * np.outer(off, off)
            covariance[:k, :k] += share * np.linalg.inv(estimate.curvature)
        return GoldRegression(w, covariance * design_effect(gold, w)), posterior


def design_effect(gold: RegressionData, w: Array) -> float:
    """Return how much unequal weights and several labels a prompt inflate the variance, at least 1.

    sum over prompts of (sum w_i e_i)^2 / sum w_i e_i^2, with residuals e_i = y_i - P_i.

    Parameters
    ----------
    gold : RegressionData
        Rows with a gold label.
    w : ndarray, shape (p,)
        Coefficients.

    Returns
    -------
    float
        1 with equal weights and one label a prompt.

    """
    error = gold.labels - expit(gold.design @ w)
    by_prompt = np.bincount(gold.group, gold.weight * error)
    return max(1.0, float(np.square(by_prompt).sum() / (gold.weight @ np.square(error))))


def misfit_variance(value: Array, weight: Array) -> float:
    """Return the prior variance of what neither evidence nor features explain of the true log-odds.

    max(pi^2 / 3 - V, V / 3) with V the variance of the fitted log-odds over the log. pi^2 / 3 is the variance
    of the log-odds if P is uniform on [0, 1]; V / 3 says that the fit explains at most 3/4 of it. Gold labels
    do not identify it: one label a response cannot tell a P near 1/2 from a mixture of high and low P.

    Parameters
    ----------
    value, weight : ndarray, shape (n,)
        Fitted log-odds of the logged rows, and how many rows each stands for.

    Returns
    -------
    float

    """
    spread = float(np.average(np.square(value - np.average(value, weights=weight)), weights=weight))
    return max(np.pi**2 / 3 - spread, spread / 3)


def gold_posterior(
    gold: RegressionData, prior: CoefficientPrior
) -> dict[float, tuple[float, MapEstimate]]:
    """Return the posterior of s, the standard deviation of what the features add to the evidence.

    The half-normal prior of s has the scale of the evidence's own log-odds, but at least 0.5: features
    may add as much as the log says. Without evidence its scale is 2 and s is above 0.

    Parameters
    ----------
    gold : RegressionData
        Rows with a gold label.
    prior : CoefficientPrior
        Prior of intercept and evidence.

    Returns
    -------
    dict of float to (float, MapEstimate)
        s -> its posterior share and the MAP estimate given s.

    """
    if not prior.centre:
        return feature_sd_posterior(gold, prior, SCALE_ALONE, smallest=FEATURE_SDS[1])
    expected = gold.design[:, 1 : 1 + len(prior.centre)] @ np.array(prior.centre)
    return feature_sd_posterior(gold, prior, max(SCALE_BESIDE_EVIDENCE, float(expected.std())))


def gold_coefficients(gold: RegressionData, prior: CoefficientPrior) -> Array:
    """Return the (p,) coefficients of `GoldRegression`, without their covariance."""
    return average_coefficients(gold_posterior(gold, prior).values(), gold.design.shape[1])


def anchoring(
    evidence: EvidenceFunction, prior: CoefficientPrior, *, asks: bool = True
) -> Computed:
    """Return the nuisance ``anchor``: P(good) of every row with its interval, from gold labels (methods 4.2).

    logit P = b_0 + b . evidence + w . x, with w ~ N(0, s^2) and s averaged over by its marginal likelihood
    (see `gold_posterior`). The 95 % interval is one of P(good given the response); see `predicted`.

    Parameters
    ----------
    evidence : callable
        Feedback -> the (n,) log-odds of every piece of evidence.
    prior : CoefficientPrior
        Prior of the coefficients of the evidence, in the same order.
    asks : bool
        Whether `asked_labels` of a lottery are used.

    Returns
    -------
    Computed
        Columns ``target``, ``low`` and ``high``.

    """

    def inputs(b: Feedback) -> Tensor:
        return torch.cat([*(v[:, None] for v in evidence(b)), b.x], 1).double()

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        drawn = asked_labels([train, val]) if asks else None
        parts = [d[d.audited] for d in (train, val)] if drawn is None else drawn[0]
        labels = np.concatenate(
            [d.gold.double().cpu().numpy() for d in parts if d.gold is not None]
        )
        enough(labels)
        known = torch.cat([inputs(d) for d in parts])
        parameters = scaling(known, train.x, len(prior.centre))
        rows = design(known, parameters).cpu().numpy()
        gold = RegressionData(rows, labels, label_weights(parts), _prompts(parts))
        regression, posterior = GoldRegression.fit(gold, prior)
        parameters |= {k: torch.from_numpy(v) for k, v in vars(regression).items()}
        chunks = torch.arange(len(train)).split(CHUNK)
        value = torch.cat([design(inputs(train[i]), parameters) @ parameters["w"] for i in chunks])
        misfit = misfit_variance(value.cpu().numpy(), row_weights([train]))
        parameters["misfit"] = torch.tensor(misfit, dtype=torch.float64)
        report = gold_report(gold, prior, regression.w, posterior, seed)
        report |= {"finding": drawn[1]} if drawn is not None else {}
        return parameters, report | {"misfit_variance": round(misfit, 4)}

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        at = {k: v.to(b.x.device) for k, v in parameters.items()}
        chunks = torch.arange(len(b)).split(CHUNK)
        misfit = float(at.get("misfit", 0.0))  # models of earlier releases have none
        parts = [
            predicted(design(inputs(b[i]), at), at["w"], at["covariance"], misfit) for i in chunks
        ]
        return {k: torch.cat([p[k] for p in parts]).to(b.y) for k in COLUMNS}

    return Computed("anchor", COLUMNS, fit, apply, features=True)


def predicted(
    rows: Tensor, w: Tensor, covariance: Tensor, misfit: float = 0.0
) -> dict[str, Tensor]:
    """Return P(good) and the ends of the 95 % interval of P(good given the response).

    True log-odds = c + N(0, a' C a + misfit) of a row a, with C the covariance of w and c = a w sqrt(1 + pi
    misfit / 8). A regression that misses a part with variance ``misfit`` has log-odds that are too near 0
    by this factor, because it averages P over that part.

    Parameters
    ----------
    rows : Tensor, shape (n, p)
        Rows of the design.
    w, covariance : Tensor, shapes (p,) and (p, p)
        Coefficients and their covariance.
    misfit : float, default 0
        Variance of the part of the true log-odds that the regression does not explain. At 0 the interval is
        that of the regression alone.

    Returns
    -------
    dict
        ``target``, ``low`` and ``high``, (n,) each; ``target`` lies between the others.

    """
    value, variance = rows @ w, ((rows @ covariance) * rows).sum(1).clamp(min=0)
    centre, reach = value * (1 + math.pi * misfit / 8) ** 0.5, 1.96 * (variance + misfit).sqrt()
    ends = value, torch.minimum(value, centre - reach), torch.maximum(value, centre + reach)
    return {k: torch.sigmoid(v) for k, v in zip(COLUMNS, ends, strict=True)}


def _prompts(parts: list[Feedback]) -> Index:
    """Number the prompts; every row is a prompt of its own where the log has none."""
    known = [d.group for d in parts if d.group is not None]
    group = torch.cat(known) if len(known) == len(parts) else None
    return prompt_numbers(sum(map(len, parts)), group).numpy()


def enough(labels: Array) -> None:
    """Refuse gold labels that are too few, or all of one class.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        Gold labels in [0, 1].

    Raises
    ------
    TruewardError
        If there are fewer than `FEWEST_GOLD`, or all are good, or all are bad.

    """
    good = int((labels > 0.5).sum())
    if len(labels) < FEWEST_GOLD:
        raise TruewardError(
            f"a fit needs at least {FEWEST_GOLD} gold labels, and found {len(labels)}: "
            "have more responses audited"
        )
    if good in (0, len(labels)):
        raise TruewardError(
            f"all {len(labels)} gold labels say {'good' if good else 'bad'}, and a fit needs both classes: "
            "audit responses drawn at random"
        )
