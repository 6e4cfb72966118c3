"""Logistic regression of gold labels on the evidence of the log and on the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import expit

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream, stream_seed
from trueward.data.splits import fold_of, prompt_numbers

from .nuisance_types import Computed
from .regression_design import CHUNK, design, row_weights, scaling
from .ridge_logistic import (
    FEATURE_SDS,
    CoefficientPrior,
    MapEstimate,
    RegressionData,
    average_coefficients,
    feature_sd_posterior,
    out_of_fold,
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
DRAWS = 200  # bootstrap samples of gold prompts
FOLDS = 5  # of gold prompts, for the held-out error
COLUMNS = ("target", "low", "high")


@dataclass(frozen=True)
class GoldRegression:
    """Log-odds of a good answer, regressed on gold labels, with their sampling covariance.

    Attributes
    ----------
    w : ndarray, shape (p,)
        Coefficients: MAP estimates averaged over the posterior of s.
    covariance : ndarray, shape (p, p)
        Covariance of ``w`` over bootstrap draws of gold prompts.

    """

    w: Array
    covariance: Array

    @staticmethod
    def fit(
        gold: RegressionData, prior: CoefficientPrior, seed: int
    ) -> tuple[GoldRegression, dict[float, float]]:
        """Fit gold rows; return the regression and the posterior share of every s.

        Parameters
        ----------
        gold : RegressionData
            Rows with a gold label.
        prior : CoefficientPrior
            Prior of intercept and evidence.
        seed : int
            Seed of the bootstrap.

        Returns
        -------
        regression : GoldRegression
        shares : dict of float to float
            s -> its posterior share.

        """
        posterior = gold_posterior(gold, prior)
        counts = bootstrap_counts(gold.group, seed)
        columns = gold.design.shape[1]
        draws = np.zeros((DRAWS, columns))
        for share, estimate in posterior.values():
            draws[:, : len(estimate.w)] += share * _newton_steps(gold, estimate, counts)
        shares = {s: share for s, (share, _) in posterior.items()}
        w = average_coefficients(posterior.values(), columns)
        return GoldRegression(w, np.cov(draws.T)), shares


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


def _newton_steps(gold: RegressionData, estimate: MapEstimate, counts: Array) -> Array:
    """One Newton step from the MAP estimate for every bootstrap sample, where row i counts counts[:, i]."""
    design = gold.design[:, : len(estimate.w)]
    error = gold.weight * (expit(design @ estimate.w) - gold.labels)
    gradient = (counts * error) @ design + estimate.precision * (estimate.w - estimate.centre)
    return np.asarray(estimate.w - np.linalg.solve(estimate.curvature, gradient.T).T)


def bootstrap_counts(group: Index, seed: int) -> Array:
    """Return how often each row occurs in bootstrap samples of prompts.

    Parameters
    ----------
    group : ndarray of int, shape (n,)
        Number of the prompt of each row.
    seed : int
        Seed of the draws.

    Returns
    -------
    ndarray, shape (DRAWS, n)

    """
    count = int(group.max()) + 1
    rng = numpy_stream(seed, "bootstrap", "gold")
    return np.asarray(rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, group], float)


def anchoring(evidence: EvidenceFunction, prior: CoefficientPrior) -> Computed:
    """Return the nuisance ``anchor``: P(good) of every row with its interval, from gold labels (methods 4.2).

    logit P = b_0 + b . evidence + w . x, with w ~ N(0, s^2) and s averaged over by its marginal likelihood
    (see `gold_posterior`). The 95 % interval is the spread over 200 bootstrap draws of gold prompts, with
    one Newton step from the MAP estimate each.

    Parameters
    ----------
    evidence : callable
        Feedback -> the (n,) log-odds of every piece of evidence.
    prior : CoefficientPrior
        Prior of the coefficients of the evidence, in the same order.

    Returns
    -------
    Computed
        Columns ``target``, ``low`` and ``high``.

    """

    def inputs(b: Feedback) -> Tensor:
        return torch.cat([*(v[:, None] for v in evidence(b)), b.x], 1).double()

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parts = [d[d.audited] for d in (train, val)]
        labels = np.concatenate(
            [d.gold.double().cpu().numpy() for d in parts if d.gold is not None]
        )
        enough(labels)
        known = torch.cat([inputs(d) for d in parts])
        parameters = scaling(known, train.x, len(prior.centre))
        rows = design(known, parameters).cpu().numpy()
        gold = RegressionData(rows, labels, row_weights(parts), _prompts(parts))
        regression, shares = GoldRegression.fit(gold, prior, seed)
        parameters |= {k: torch.from_numpy(v) for k, v in vars(regression).items()}
        return parameters, _report(gold, prior, regression, shares, seed)

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        at = {k: v.to(b.x.device) for k, v in parameters.items()}
        chunks = torch.arange(len(b)).split(CHUNK)
        parts = [predicted(design(inputs(b[i]), at), at["w"], at["covariance"]) for i in chunks]
        return {k: torch.cat([p[k] for p in parts]).to(b.y) for k in COLUMNS}

    return Computed("anchor", COLUMNS, fit, apply, features=True)


def predicted(rows: Tensor, w: Tensor, covariance: Tensor) -> dict[str, Tensor]:
    """Return P(good) and the ends of its 95 % interval: 1.96 sd of the log-odds each way.

    Parameters
    ----------
    rows : Tensor, shape (n, p)
        Rows of the design.
    w, covariance : Tensor, shapes (p,) and (p, p)
        Coefficients and their covariance.

    Returns
    -------
    dict
        ``target``, ``low`` and ``high``, (n,) each.

    """
    value, sd = rows @ w, ((rows @ covariance) * rows).sum(1).clamp(min=0).sqrt()
    ends = (value, value - 1.96 * sd, value + 1.96 * sd)
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


def _report(
    gold: RegressionData,
    prior: CoefficientPrior,
    regression: GoldRegression,
    shares: dict[float, float],
    seed: int,
) -> dict[str, Any]:
    """Report the coefficients, and the Brier score on held-out gold prompts beside that of naive."""
    k, best = len(prior.centre), max(shares, key=lambda s: shares[s])
    report: dict[str, Any] = {
        "gold": len(gold.labels),
        "good": int((gold.labels > 0.5).sum()),
        "coefficients": [round(float(v), 4) for v in regression.w[: 1 + k]],
        "share_of_width": {f"{s:g}": round(q, 4) for s, q in shares.items()},
    }
    if gold.group.max() + 1 < FOLDS:
        return report
    group = torch.from_numpy(gold.group)
    fold = fold_of(len(gold.labels), FOLDS, stream_seed(seed, "gold folds"), group).numpy()

    def squared_error(prior: CoefficientPrior, feature_sd: float) -> Array:
        p = out_of_fold(gold, fold, lambda rows: rows.map_estimate(prior, feature_sd).w)
        return np.square(p - gold.labels)

    errors = {"anchored": squared_error(prior, best)}
    if k:
        errors["naive"] = squared_error(CoefficientPrior(prior.ridge, (1.0,), (0.0,)), 0.0)
    report["held_out_brier"] = {name: round(float(e.mean()), 4) for name, e in errors.items()}
    if k:
        gap = errors["anchored"] - errors["naive"]
        if gap.mean() > 1.96 * gap.std() / np.sqrt(len(gap)):
            report["warning"] = (
                "the Brier score on held-out gold labels is worse than that of naive calibrated on the same "
                f"labels ({errors['anchored'].mean():.3f} against {errors['naive'].mean():.3f})"
            )
    return report
