"""Calibration of a model on the gold labels of a log, window by window."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError
from trueward.evaluation.audit import audit_rows
from trueward.evaluation.influence_functions import INFLUENCE_FUNCTIONS

from .drift import Drift
from .drifts import FEWEST
from .looks import margin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.estimate import Estimate
    from trueward.data.feedback import Feedback
    from trueward.evaluation.prediction_powered import AuditRows
    from trueward.model.reward_model import RewardModel

    Index = NDArray[np.int64]


def gold_rows(
    model: RewardModel, live: Feedback, seed: int, *, future: bool = False
) -> AuditRows | str | None:
    """Score the rows of the new log and predict their labels from the gold labels, out of fold.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    live : Feedback
        The rows of the new log.
    seed : int
        Seed of the folds.
    future : bool, default False
        Whether intervals include the draw of the rows.

    Returns
    -------
    AuditRows, str or None
        The reason as text where the gold labels are too few; None where there are none.

    """
    if not len(live.audited):
        return None
    try:
        return audit_rows(model, live, future=future, seed=seed)[0]
    except TruewardError as e:
        return str(e)


def gold_metrics(rows: AuditRows) -> dict[str, Estimate]:
    """Estimate the metrics of an audit over the whole log, with 95 % intervals.

    Parameters
    ----------
    rows : AuditRows
        Result of `gold_rows`.

    Returns
    -------
    dict of str to Estimate
        By the name of the metric.

    """
    return {name: rows.estimate(name)[0] for name in INFLUENCE_FUNCTIONS}


def gold_drift(rows: AuditRows | str, window: Index, level: float, tolerance: float) -> Drift:
    """Estimate E[r - P] over a window by prediction-powered inference.

    Parameters
    ----------
    rows : AuditRows or str
        Result of `gold_rows`.
    window : (m,) array of int
        Rows of the log.
    level : float
        Error level of the interval.
    tolerance : float
        Tolerance of the drift.

    Returns
    -------
    Drift
        ``calibration``, measured on gold labels.

    """
    empty = Drift("calibration", None, None, None, tolerance, source="gold")
    if isinstance(rows, str):
        return replace(empty, reason=rows)
    values = {f.name: getattr(rows, f.name) for f in fields(rows)}
    cut: dict[str, Any] = {
        k: v[window] if isinstance(v, np.ndarray) and len(v) == len(rows.p) else v
        for k, v in values.items()
    }
    part = type(rows)(**cut)
    count = int(part.known.sum())
    if count < FEWEST:
        return replace(empty, reason=f"{count} gold labels, and {FEWEST} are needed")
    bias, error, degrees = part.deviation("bias")
    if degrees < FEWEST - 1:
        few = f"an effective number of {degrees + 1:.0f} gold labels, and {FEWEST} are needed"
        return replace(empty, reason=few)
    wide = margin(error, degrees, level)
    return replace(empty, value=-bias, low=max(-bias - wide, -1.0), high=min(wide - bias, 1.0))
