"""Whether the lottery of a log was fair, from what a fit knows of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import chdtrc

from trueward.asking.fairness import ALARM
from trueward.asking.lottery_tests import share_test, users_test

from .reward_form import odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]


def unfair(parts: list[Feedback]) -> str:
    """Return why the asks of a log are no lottery; an empty text where nothing shows it.

    The tests of `check_asks` that need no texts: the share of the asked, who was asked against P(up given
    rated, x) and P(rated given x), and the spread over users. Each raises an alarm in one fair log of 1,000.

    Parameters
    ----------
    parts : list of Feedback
        Parts of a log with a lottery, with ``eta.noisy`` and ``eta.responds`` where they are known.

    Returns
    -------
    str

    """
    asked, chance = (_column(parts, k) for k in ("asked", "p_ask"))
    inside = (np.nan_to_num(chance) > 0) & ~np.isnan(asked)
    a, p = asked[inside], chance[inside]
    share = share_test(a, p)
    if share is not None and share < ALARM:
        return f"{a.sum():,.0f} responses were asked where {p.sum():,.0f} are expected (p = {share:.1e})"
    if all(d.user is not None for d in parts):
        users = torch.cat([d.user for d in parts if d.user is not None]).cpu().numpy()[inside]
        spread = users_test(np.unique(users, return_inverse=True)[1], a, p)
        if spread is not None and spread < ALARM:
            return f"some users were asked more often than the lottery asks (p = {spread:.1e})"
    if all({"noisy", "responds"} <= set(d.eta) for d in parts):
        columns = [
            torch.cat([odds(d.eta[k]) for d in parts]).cpu().numpy() for k in ("noisy", "responds")
        ]
        depends = _dependence(np.stack(columns, 1)[inside], a, p)
        if depends < ALARM:
            return f"who was asked depends on the response (p = {depends:.1e})"
    return ""


def _column(parts: list[Feedback], name: str) -> Array:
    return np.asarray(torch.cat([d.asks[name] for d in parts]).double().cpu().numpy())


def _dependence(x: Array, a: Array, p: Array) -> float:
    """P-value of the score test of a - p on columns."""
    v = p * (1 - p)
    x = x - (v @ x) / max(float(v.sum()), 1e-12)
    score, information = x.T @ (a - p), (x * v[:, None]).T @ x
    values, vectors = np.linalg.eigh(information)
    used = values > 1e-9 * max(float(values.max()), 1e-12)
    statistic = float((np.square(vectors.T @ score)[used] / values[used]).sum())
    return float(chdtrc(int(used.sum()), statistic)) if used.any() else 1.0
