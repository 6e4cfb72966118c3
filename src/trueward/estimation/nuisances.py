"""The nuisances that methods share: propensity, imputation, rates of clicks, activity, strata."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from trueward.core.errors import TruewardError

from . import samplers
from .nuisance_types import Computed, Derived, Nuisance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

imputation = Nuisance(name="imputation", target=lambda b: b.y, where=samplers.observed)
"""m(x) = P(r=1 given x, o=1), by cross-entropy on rated rows."""

noisy = Nuisance(name="noisy", target=lambda b: b.y, where=samplers.observed, of_users="ratings")
"""eta(x) = P(r=1 given x, o=1): the noisy proxy from which noise rates are estimated."""

naive = replace(noisy, name="naive", views="all", cross_fit=False)
"""P(r=1 given x, o=1) by the network that the method `naive` trains: the same rows, streams and weights."""

responds = Nuisance(name="responds", target=lambda b: b.o, of_users="reactions")
"""P(o=1 given x): the probability of feedback, whatever the context."""

propensity = replace(responds, name="propensity", reads="xz", clip=0.01, average_user=True)
"""p(x, z) = P(o=1 given x, z), by log-loss on all rows (Rosenbaum and Rubin 1983)."""

clicked = Nuisance(name="noisy", target=lambda b: b.y)
"""eta(x) = P(y=1 given x) over all rows of an implicit log."""


FEW_GOLD = 100  # gold labels below which the prior that they give is uncertain by .1 or more


@dataclass(frozen=True)
class Clip:
    """p -> max(p, low), with a report on what was raised.

    The cross-fit applies it to every `Nuisance` with a ``clip``, estimated or logged: losses need not clip
    such a column again.

    Attributes
    ----------
    low : float
        Lower bound.

    """

    low: float

    def __call__(self, p: Tensor) -> Tensor:
        """Return (n,) probabilities, raised to ``low`` where they are below it."""
        return p.clamp(min=self.low)

    def report(self, p: Tensor, o: Tensor, weight: Tensor | None = None) -> dict[str, Any]:
        """Return counts of raised rows, and the effective sample size (sum v)^2 / sum v^2, v = w o / p.

        Parameters
        ----------
        p : Tensor, shape (n,)
            Probabilities before clipping.
        o : Tensor, shape (n,)
            1 on rated rows.
        weight : Tensor, shape (n,), optional
            w: what each row represents; 1 by default.

        Returns
        -------
        dict
            With a ``warning`` if the effective sample size is below 20 % of the rated rows.

        """
        seen = o > 0
        w = (1 if weight is None else weight[seen].double()) / self(p)[seen].double()
        size = float(w.sum().square() / w.square().sum().clamp(min=1e-300))
        rated = int(seen.sum())
        report: dict[str, Any] = {
            "low": self.low,
            "clipped": int((p < self.low).sum()),
            "clipped_rated": int((p[seen] < self.low).sum()),
            "rows": len(p),
            "rated": rated,
            "effective_sample_size": round(size, 1),
            "largest_weight": round(float(w.max()), 2) if rated else None,
        }
        if size < 0.2 * rated:
            report["warning"] = (
                f"inverse-propensity weights leave an effective sample of {size:.0f} out of {rated} "
                "rated rows: few rows determine the weighted estimate"
            )
        return report


def platt(logit: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[float, float]:
    """Return the slope and offset that minimise the log-loss of sigmoid(slope * logit + offset).

    A slope below 0 means that the logit ranks backwards out of fold and carries no information: the slope is
    then 0, and the offset the logit of the base rate.

    Parameters
    ----------
    logit, target : Tensor, shape (n,)
        Logits, and targets in [0, 1].
    weight : Tensor, shape (n,), optional
        Weight of every row.

    Returns
    -------
    slope, offset : float

    References
    ----------
    Platt, Advances in Large Margin Classifiers, 1999.

    """
    s, t = logit.double().numpy(), target.double().numpy()
    w = None if weight is None else weight.double().numpy()
    mean = float(np.clip(np.average(t, weights=w), 1e-4, 1 - 1e-4))
    constant = (0.0, float(np.log(mean / (1 - mean))))
    if t.min() == t.max() or s.std() < 1e-9:
        return constant

    def risk(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        v = line[0] * s + line[1]
        error = expit(v) - t
        # a ridge of one observation keeps the slope of separable logits finite
        loss, ridge = np.average(np.logaddexp(0, v) - t * v, weights=w), (line[0] - 1) / len(t)
        gradient = [np.average(error * s, weights=w) + ridge, np.average(error, weights=w)]
        return float(loss + 0.5 * (line[0] - 1) * ridge), np.array(gradient)

    slope, offset = minimize(risk, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B").x
    return (float(slope), float(offset)) if slope > 0 else constant


def activity_rate(
    prior: float | None,
    quantile: float,
    false_click: float = 0.0,
    missed_click: float = 0.0,
    *,
    gold: bool = False,
) -> Derived:
    """Return the nuisance c = P(act given satisfied) = h(mean(y)) / prior, or the anchor h(Q_u(eta)).

    h(v) = (v - g) / (1 - f - g) corrects for misclicks: P(y=1) = g + (1 - f - g) c r. The anchor is used
    without a prior; it assumes that some answers certainly satisfy.

    Parameters
    ----------
    prior : float or None
        P(satisfied) over all responses.
    quantile : float
        u: the anchor is this quantile of P(click).
    false_click, missed_click : float
        g and f: P(click given not both satisfied and active), P(no click given both).
    gold : bool
        Whether the prior is the share of good gold labels.

    Returns
    -------
    Derived
        Column ``activity_rate``.

    References
    ----------
    Elkan and Noto, KDD 2008.

    """

    def compute(b: Feedback, _seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        # the rows are a resample by weight already; gold labels count 1 / P(labelled)
        def intended(share: float) -> float:
            return max(0.0, (share - false_click) / (1 - false_click - missed_click))

        clicks, share = intended(float(b.y.double().mean())), prior
        if gold and b.gold is not None:
            share = float(
                np.average(b.gold[b.audited].cpu(), weights=b.label_weight[b.audited].cpu())
            )
        if share is None:
            c = intended(float(np.quantile(b.eta.noisy.double().cpu().numpy(), quantile)))
        else:
            c = clicks / max(share, 1e-6)
        if c > 1 and share is not None:
            source = "share of good gold labels" if gold else "given prior"
            raise TruewardError(
                f"{clicks:.1%} of the responses have a click, more than the {source} P(satisfied) = "
                f"{share:.3g}, which no activity can explain: raise -o prior"
            )
        at, c = c, min(1.0, max(c, clicks, 1e-6))  # mean(y) = c E[gamma] <= c
        report: dict[str, Any] = {
            "given_prior": share,
            "activity_rate": c,
            "implied_prior": clicks / c,
        }
        labels = len(b.audited) if gold else None
        if warnings := _rate_warnings(at, clicks, labels):
            report["warning"] = "; ".join(warnings)
        return {"activity_rate": c}, report

    return Derived("activity_rate", ("activity_rate",), compute)


def _rate_warnings(at: float, clicks: float, gold: int | None) -> list[str]:
    """Warn of an activity rate at a bound, and of a prior from few gold labels."""
    found = []
    if clicks == 0:
        found.append(
            "the given rate of false clicks explains every click: nothing is left that shows satisfaction"
        )
    elif at <= clicks:
        found.append(
            f"P(act given satisfied) is raised to the share of clicks ({clicks:.3g}), its lowest value: "
            "every response would be satisfactory; give a prior (-o prior)"
        )
    elif at >= 1:
        found.append(
            "P(act given satisfied) is at its bound, 1: every satisfied user would act, and a missing click "
            "would mean a bad response"
        )
    if gold is not None and gold < FEW_GOLD:
        half = 1.96 * 0.5 / gold**0.5
        found.append(
            f"the prior is the share of good ones of {gold} gold labels, known to within about {half:.2f}"
        )
    return found


def scar(
    prior: float | None, quantile: float, *, gold: bool = False
) -> tuple[Nuisance | Derived, ...]:
    """Return the nuisances that give one activity rate for all satisfied users (SCAR).

    Parameters
    ----------
    prior : float or None
        P(satisfied) over all responses.
    quantile : float
        Quantile of P(click) that is the rate without a prior.
    gold : bool
        Whether the prior is the share of good gold labels.

    Returns
    -------
    tuple of Nuisance and Derived
        `activity_rate`, after `clicked` if the anchor needs it.

    """
    rate = activity_rate(prior, quantile, gold=gold)
    return (rate,) if gold or prior is not None else (clicked, rate)


def click_propensity(alpha: float, rate: float) -> Computed:
    """Return the nuisance theta = k where y = 1 and k alpha^4 where y = 0, the published click propensity.

    k makes its mean over training rows equal to ``rate``. It is computed from the label itself, so it is
    constant on clicks and no propensity; it exists to reproduce published tables. A logged propensity
    takes its place.

    Parameters
    ----------
    alpha : float
        Decay, in (0, 1].
    rate : float
        Mean, in (0, 1].

    Returns
    -------
    Computed
        Column ``propensity``.

    """

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        clicks = float(train.row_weight @ train.y.double() / train.row_weight.sum())
        k = rate / (clicks + (1 - clicks) * alpha**4)
        report = {"clicked": min(1.0, k), "not_clicked": min(1.0, k * alpha**4)}
        return {"of": torch.tensor([k * alpha**4, k])}, report

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        without, with_click = parameters["of"].to(b.y)
        return {"propensity": torch.where(b.y > 0, with_click, without).clamp(max=1.0)}

    return Computed("click_propensity", ("propensity",), fit, apply)
