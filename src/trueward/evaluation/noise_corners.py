"""Mean P(preferred) at the corners of the plausible noise rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.weighted import weighted_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]

TAIL = 0.99  # quantile of P(up given rated) that bounds the rates of wrong feedback
WEAKEST = 0.9  # sum of the rates from which nothing is left to correct
HELD = 0.25  # share of P at 0 or 1 that is worth a warning


def noise_corners(
    f: Array, model: RewardModel, noisy: Tensor | None, w: Array | None
) -> tuple[tuple[tuple[float, float, float], ...], list[str]]:
    """Compute mean P at the model's intervals of the rates, or from 0 to what the log allows.

    P(up given rated) = rho_10 + (1 - rho_01 - rho_10) f, so f under other rates follows from f under the
    model's.

    Parameters
    ----------
    f : (n,) array
        P(preferred) by the model.
    model : RewardModel
        The model, whose report may have estimated rates.
    noisy : (n,) Tensor or None
        P(up given rated, x) out of fold; without it there are no corners.
    w : (n,) array, optional
        Row weights.

    Returns
    -------
    corners : tuple of (float, float, float)
        rho_01, rho_10 and mean P.
    warnings : list of str
        Corners that are left out, and those at which P is held at 0 or 1.

    """
    if noisy is None:
        return (), []
    rates = model.report["nuisances"].get("flip_rates", {})
    if "rho_01" in rates:
        (a, b) = (rates[k]["value"] for k in ("rho_01", "rho_10"))
        ends = [(rates[k]["low"], rates[k]["high"]) for k in ("rho_01", "rho_10")]
    else:
        a, b = (float(getattr(model.estimator, k, None) or 0.0) for k in ("rho_01", "rho_10"))
        q = noisy.double().cpu().numpy()
        low, high = (float(v) for v in weighted_quantile(q, (1 - TAIL, TAIL), w))
        ends = [(0.0, 1 - high), (0.0, low)]
    up = b + (1 - a - b) * f
    corners, held, dropped = [], 0.0, 0
    for x in ends[0]:
        for y in ends[1]:
            if x + y >= WEAKEST:
                dropped += 1
                continue
            at = (up - y) / (1 - x - y)
            held = max(held, float(np.average((at < 0) | (at > 1), weights=w)))
            corners.append((x, y, float(np.average(at.clip(0, 1), weights=w))))
    warnings = []
    if dropped:
        warnings.append(
            f"{dropped} of 4 pairs of noise rates are left out: they add up to {WEAKEST:g} or more, and the "
            "log does not exclude them"
        )
    if held > HELD:
        warnings.append(
            f"at other noise rates P is held at 0 or 1 for up to {held:.0%} of the responses: such rates do "
            "not fit the model, and their mean P is approximate"
        )
    return tuple(corners), warnings
