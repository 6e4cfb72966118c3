"""Nuisances that read a lottery of asks where the log has one, and are the usual ones where it has none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from .asked_average import AskedAverage, bounded, usable
from .asked_counts import AskedCounts
from .asked_fairness import unfair
from .outcome_counts import SMALLEST_SD
from .reward_form import odds
from .selection_average import selection_average

SOME = 0.5  # weight of selection by the label from which the lottery gives the ends of a segment

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback

    from .nuisance_types import Computed, Parameters


def selection_with_asks(rho_01: float, rho_10: float) -> Computed:
    """Return the nuisance ``selection`` that uses a lottery of asks where the log has one (methods 4.1).

    Without a lottery it is `selection_average`, bit for bit. Where fewer than 20 % of the asked answer, and
    fewer than 10 gold labels are on responses of the lottery, it is `selection_average` as well, and the
    report has bounds of the share of good responses in place of an estimate. Asks that were no fair lottery
    are left out, with a warning.

    Parameters
    ----------
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    Returns
    -------
    Computed
        Column ``target``; parameters as of `selection_average`.

    """
    without = selection_average(rho_01, rho_10)

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parts = [train, val]
        counts = AskedCounts.of(parts) if train.asks else None
        if counts is None:
            return without.fit(train, val, seed)
        if why := unfair(parts):
            parameters, report = without.fit(train, val, seed)
            said = [report["warning"]] if "warning" in report else []
            left_out = (
                f"the asks are no fair lottery and are left out: {why}; see trueward ask check"
            )
            return parameters, report | {"warning": "; ".join([left_out, *said])}
        if not usable(counts):
            parameters, report = without.fit(train, val, seed)
            return parameters, bounded(report, counts)
        average = AskedAverage.fit(counts, rho_01, rho_10, line_of_naive(val))
        names = ("weights", "coefficients")
        pairs = zip(names, map(torch.from_numpy, average.coefficients), strict=True)
        report = average.report(seed)
        if unseen := not_logged(parts):
            report["warning"] = "; ".join(
                [*([report["warning"]] if "warning" in report else []), unseen]
            )
        return dict(pairs), report

    return replace(without, fit=fit)


def asked_ends(parts: list[Feedback], rho_01: float, rho_10: float) -> torch.Tensor | None:
    """Return (P(up), P(down)) of a bad and of a good answer, from the lottery of a log.

    Parameters
    ----------
    parts : list of Feedback
        Parts of a log, with ``eta.noisy`` and ``eta.responds``.
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    Returns
    -------
    Tensor, shape (2, 2), or None
        None without a lottery whose answers say more than bounds, and where missing at random fits better.

    """
    counts = AskedCounts.of(parts) if all(d.asks for d in parts) else None
    if counts is None or not usable(counts) or unfair(parts):
        return None
    average = AskedAverage.fit(counts, rho_01, rho_10)
    if average.by_label < SOME:
        return None
    best = max((m for m in average.models if m.by_label), key=lambda m: m.log_evidence)
    bad, good = best.reacting(counts)
    ends = [[rho_10 * bad, (1 - rho_10) * bad], [(1 - rho_01) * good, rho_01 * good]]
    return torch.tensor(ends, dtype=torch.float64)


def line_of_naive(held: Feedback) -> tuple[float, float]:
    """Return intercept and slope of the line that gives naive's logit the mean and the spread of q.

    Parameters
    ----------
    held : Feedback
        Rows on which neither network was trained.

    Returns
    -------
    (float, float)
        (0, 0) where one of them does not vary.

    """
    q, n = (odds(held.eta[k]).cpu().numpy() for k in ("noisy", "naive"))
    if len(q) < 2 or min(q.std(), n.std()) < SMALLEST_SD:
        return 0.0, 0.0
    slope = float(q.std() / n.std())
    return float(q.mean() - slope * n.mean()), slope


def not_logged(parts: list[Feedback]) -> str:
    """Return a warning where the log does not say who saw the question; else an empty text.

    Parameters
    ----------
    parts : list of Feedback
        Parts of a log with a lottery.

    Returns
    -------
    str

    """
    if any("seen" in d.asks and bool((~d.asks.seen.isnan()).any()) for d in parts):
        return ""
    return (
        "the log does not say who saw the question (`seen`): the asked who did not see it count as silent, "
        "and the share of good responses is then wrong"
    )
