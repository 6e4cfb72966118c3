"""Warnings of a calibration: maps at a bound, folds that test nothing, sets that decide nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

USUAL_LEVEL = 0.95  # confidence that people ask for
NOTED = 0.02  # nats of log-loss that calibration may be worth although it is not chosen


def calibration_warnings(
    kind: str, parameters: Array, losses: Mapping[str, Array], y: Array, w: Array, fold: Index
) -> list[str]:
    """Return what a chosen calibration map does not know, one sentence each.

    Parameters
    ----------
    kind : str
        The kind that was chosen.
    parameters : ndarray
        Its parameters; see `Calibration`.
    losses : mapping of str to ndarray, shape (n,)
        Held-out log-loss of every gold row, by kind.
    y, w : ndarray, shape (n,)
        Gold labels in [0, 1], and the weight of each.
    fold : ndarray, shape (n,)
        Fold of each gold row.

    Returns
    -------
    list of str

    """
    found = [*_untested(y, fold), *_at_bound(kind, parameters)]
    if kind == "none":
        found += _not_chosen(losses, w)
    return found


def undecided_above(cumulative: Array) -> list[str]:
    """Warn where conformal sets at 95 % contain both labels because gold labels are too few.

    Parameters
    ----------
    cumulative : ndarray, shape (n + 1,)
        Cumulative weights of the gold rows, then of a new response.

    Returns
    -------
    list of str
        At most one sentence.

    """
    highest = float(cumulative[-2] / cumulative[-1])
    if highest >= USUAL_LEVEL:
        return []
    return [
        (
            f"{len(cumulative) - 1} gold labels decide nothing at a confidence above {highest:.3f}: "
            "conformal sets contain both labels there"
        )
    ]


def _untested(y: Array, fold: Index) -> list[str]:
    """Warn of folds without a fit on the others, because these are empty or of one class."""
    rows = sum(
        int((fold == k).sum()) for k in np.unique(fold) if len(np.unique(y[fold != k] > 0.5)) < 2
    )
    if not rows:
        return []
    return [
        (
            f"{rows} of {len(y)} gold labels were not held out, because the labels of other prompts are of "
            "one class: their log-loss and conformal scores are those without calibration; label more prompts"
        )
    ]


def _at_bound(kind: str, parameters: Array) -> list[str]:
    """Warn of a map that is constant in a part of [0, 1]."""
    if kind == "platt" and parameters[0] <= 0:
        return [
            (
                "the slope of platt is at its bound, 0: P(preferred) does not rank the gold labels, and the "
                "calibrated P is one number for all responses"
            )
        ]
    if kind == "beta" and min(parameters[:2]) <= 1e-9:
        end = "0" if parameters[0] <= 1e-9 else "1"
        return [
            f"a coefficient of beta is at its bound, 0: calibrated P hardly changes towards P = {end}"
        ]
    if kind == "isotonic":
        (low, high), (first, last) = parameters[0][[0, -1]], parameters[1][[0, -1]]
        return [
            (
                f"isotonic is constant beyond its ends: P below {low:.2f} becomes {first:.2f}, P above "
                f"{high:.2f} becomes {last:.2f}, and such responses are not ranked"
            )
        ]
    return []


def _not_chosen(losses: Mapping[str, Array], w: Array) -> list[str]:
    """Warn where no calibration was chosen although it may help: the labels are too few to tell."""
    upto = {}
    for kind, loss in losses.items():
        gain = losses["none"] - loss
        mean = float(np.average(gain, weights=w))
        upto[kind] = mean + 1.96 * float(np.sqrt(np.square(w * (gain - mean)).sum()) / w.sum())
    best = max(upto, key=lambda kind: upto[kind])
    if upto[best] < NOTED:
        return []
    return [
        (
            f"{len(w)} gold labels do not show that P(preferred) needs calibration, and do not show that it "
            f"is right: log-loss may be up to {upto[best]:.2f} lower with {best}"
        )
    ]
