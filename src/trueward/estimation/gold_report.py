"""Report of a regression on gold labels: estimates at a bound, and the error on held-out labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.random import stream_seed
from trueward.data.splits import fold_of

from .regression_design import NO_FEATURES
from .ridge_logistic import (
    FEATURE_SDS,
    HELD_AT_ZERO,
    NOT_CONVERGED,
    CoefficientPrior,
    out_of_fold,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .ridge_logistic import MapEstimate, RegressionData

    Array = NDArray[np.float64]

FOLDS = 5  # of gold prompts, for the held-out error


def gold_report(
    gold: RegressionData,
    prior: CoefficientPrior,
    w: Array,
    posterior: dict[float, tuple[float, MapEstimate]],
    seed: int,
) -> dict[str, Any]:
    """Report the coefficients, estimates at a bound, and the Brier score on held-out gold prompts.

    Parameters
    ----------
    gold : RegressionData
        Rows with a gold label.
    prior : CoefficientPrior
        Prior of intercept and evidence.
    w : ndarray, shape (p,)
        Coefficients.
    posterior : dict of float to (float, MapEstimate)
        s -> its posterior share and the MAP estimate given s.
    seed : int
        Seed of the folds.

    Returns
    -------
    dict
        With ``warning`` where there is something to warn of.

    """
    k, best = len(prior.centre), max(posterior, key=lambda s: posterior[s][0])
    report: dict[str, Any] = {
        "gold": len(gold.labels),
        "good": int((gold.labels > 0.5).sum()),
        "coefficients": [round(float(v), 4) for v in w[: 1 + k]],
        "share_of_width": {f"{s:g}": round(q, 4) for s, (q, _) in posterior.items()},
    }
    warnings = _at_bounds(prior, posterior)
    if gold.design.shape[1] > 1 + k and not gold.design[:, 1 + k :].any():
        warnings.append(NO_FEATURES)
    if gold.group.max() + 1 < FOLDS:
        warnings.append(
            f"the fit was not compared with naive on held-out labels: gold labels are on "
            f"{gold.group.max() + 1} prompts, and that takes {FOLDS}"
        )
    else:
        report["held_out_brier"], worse = _held_out(gold, prior, best, seed)
        warnings += worse
    return report | ({"warning": "; ".join(warnings)} if warnings else {})


def posterior_warnings(posterior: Mapping[float, tuple[float, MapEstimate]]) -> list[str]:
    """Return what is at a bound in a posterior of s, one sentence each.

    Parameters
    ----------
    posterior : mapping of float to (float, MapEstimate)
        s -> its posterior share and the MAP estimate given s.

    Returns
    -------
    list of str

    """
    found, last = [], FEATURE_SDS[-1]
    if last in posterior and posterior[last][0] > 0.5:
        found.append(
            f"s, what features add to the evidence, is at the end of its grid ({last:g}): labels and "
            "features are nearly separable, so probabilities may be too near 0 and 1"
        )
    if not all(estimate.converged for _, estimate in posterior.values()):
        found.append(NOT_CONVERGED)
    return found


def _at_bounds(
    prior: CoefficientPrior, posterior: dict[float, tuple[float, MapEstimate]]
) -> list[str]:
    """Warn of `posterior_warnings`, and of coefficients that are held at 0."""
    found = posterior_warnings(posterior)
    k = len(prior.centre)
    held = sum(
        share * (estimate.precision[1 : 1 + k] == HELD_AT_ZERO)
        for share, estimate in posterior.values()
    )
    if np.any(held > 0.5):
        places = ", ".join(str(i + 1) for i in np.flatnonzero(held > 0.5))
        found.append(
            f"monotone holds coefficients of the evidence at 0 (numbers {places} of {k}): gold labels give "
            "them the other sign, so check what these reactions mean"
        )
    return found


def _held_out(
    gold: RegressionData, prior: CoefficientPrior, feature_sd: float, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Compare the Brier score on held-out gold prompts with that of naive on the same labels."""
    group = torch.from_numpy(gold.group)
    fold = fold_of(len(gold.labels), FOLDS, stream_seed(seed, "gold folds"), group).numpy()

    def squared_error(prior: CoefficientPrior, feature_sd: float) -> Array:
        p = out_of_fold(gold, fold, lambda rows: rows.map_estimate(prior, feature_sd).w)
        return np.square(p - gold.labels)

    errors = {"anchored": squared_error(prior, feature_sd)}
    warnings = []
    if prior.centre:
        errors["naive"] = squared_error(CoefficientPrior(prior.ridge, (1.0,), (0.0,)), 0.0)
        gap = errors["anchored"] - errors["naive"]
        if gap.mean() > 1.96 * gap.std() / np.sqrt(len(gap)):
            warnings.append(
                "the Brier score on held-out gold labels is worse than that of naive calibrated on the same "
                f"labels ({errors['anchored'].mean():.3f} against {errors['naive'].mean():.3f})"
            )
    return {name: round(float(e.mean()), 4) for name, e in errors.items()}, warnings
