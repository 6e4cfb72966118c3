"""Capture-recapture: gamma = P_1 P_2 / P_12 from two channels, and a test that all pairs agree."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import chdtrc

from trueward.core.errors import TruewardError
from trueward.data.capabilities import MIN_PER_CLASS
from trueward.data.splits import prompt_numbers

from .nuisance_types import Computed, Nuisance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

FLOOR = 0.003  # lower bound of a rate, since rates are divisors
TOP = 0.98  # an estimated probability approaches 1 exponentially above this
LEVEL = 0.001  # p-value below which estimates disagree
AT_BOUND = 0.05  # share of rows at a bound that is worth a warning
WIDE = 0.2  # difference of mean rewards that an agreement must exclude
#: channels that fire together -> exponent of their rate
Product = dict[tuple[str, ...], int]


@cache
def rate(*names: str) -> Nuisance:
    """Return the nuisance P(all of these channels fire given x), on rows where all are logged.

    Parameters
    ----------
    *names : str
        Channels.

    Returns
    -------
    Nuisance
        Called ``channel.NAME``, or ``channel.A&B`` for several.

    """

    def fired(b: Feedback) -> Tensor:
        return _together(b, names).nan_to_num()

    def logged(b: Feedback) -> Tensor:
        return (~_together(b, names).isnan()).nonzero().squeeze(-1).cpu()

    return Nuisance(name=_column(names), target=fired, where=logged)


def _together(b: Feedback, names: Sequence[str]) -> Tensor:
    return torch.stack([b.channels[k] for k in names]).prod(0)


def _column(names: Sequence[str]) -> str:
    return f"channel.{'&'.join(names)}"


def products(names: Sequence[str]) -> dict[tuple[str, ...], Product]:
    """Return the products of rates that estimate gamma(x).

    P_1 P_2 / P_12 for every pair, and P_123 P_1 P_2 P_3 / (P_12 P_13 P_23) for the first three channels. If
    some users are more active in all channels, a pair gives less than gamma and three give nearly gamma, so
    their difference reveals dependence that all pairs share.

    Parameters
    ----------
    names : sequence of str
        Channels.

    Returns
    -------
    dict
        Channels of a product -> the product.

    """
    products: dict[tuple[str, ...], Product] = {
        pair: {pair[:1]: 1, pair[1:]: 1, pair: -1} for pair in itertools.combinations(names, 2)
    }
    if len(names) > 2:
        three = tuple(names[:3])
        product: Product = {three: 1} | {(k,): 1 for k in three}
        product |= dict.fromkeys(itertools.combinations(three, 2), -1)
        products[three] = product
    return products


def rates(names: Sequence[str]) -> tuple[Nuisance, ...]:
    """Return the nuisances that `agreement` reads.

    Parameters
    ----------
    names : sequence of str
        Channels.

    Returns
    -------
    tuple of Nuisance

    """
    needed = dict.fromkeys(k for product in products(names).values() for k in product)
    return tuple(rate(*k) for k in needed)


def agreement(names: Sequence[str]) -> Computed:
    """Return the nuisance (P_1 P_2 / P_12)(x), averaged over pairs, with a test that all `products` agree.

    A Wald test compares the means of the products. Each mean has a one-step correction that removes
    first-order errors of the rates (methods 4.3): with c the product of rates P_j to the powers e_j,
    psi = mean [ c + c sum_j e_j (y_j - P_j) / P_j ].

    Parameters
    ----------
    names : sequence of str
        Channels, two or more.

    Returns
    -------
    Computed
        Column ``target``.

    """
    estimates = products(names)
    divisors = sorted({k for product in estimates.values() for k, e in product.items() if e < 0})

    def floored(b: Feedback, names: tuple[str, ...]) -> Tensor:
        return b.eta[_column(names)].double().clamp(min=FLOOR)

    def value(b: Feedback, product: Product) -> Tensor:
        return torch.stack([floored(b, k) ** e for k, e in product.items()]).prod(0)

    def corrected(b: Feedback, product: Product) -> Tensor:
        errors = [e * (_together(b, k).double() / floored(b, k) - 1) for k, e in product.items()]
        return value(b, product) * (1 + torch.stack(errors).sum(0))

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        values = torch.stack([corrected(train, product) for product in estimates.values()], 1)
        report = _report(["&".join(k) for k in estimates], values, train.group, train.row_weight)
        rates = torch.stack([train.eta[_column(k)] for k in divisors])
        pairs = [value(train, product) for pair, product in estimates.items() if len(pair) == 2]
        return {}, _with_bounds(report, rates, torch.stack(pairs).mean(0))

    def apply(_parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        pairs = [value(b, product) for pair, product in estimates.items() if len(pair) == 2]
        return {"target": _below_one(torch.stack(pairs).mean(0)).to(b.y)}

    return Computed("agreement", ("target",), fit, apply)


def _below_one(v: Tensor) -> Tensor:
    """Return v up to ``TOP``, and beyond it a value that approaches 1 and keeps the order."""
    rest = 1 - TOP
    return torch.where(v < TOP, v, 1 - rest * torch.exp((TOP - v) / rest))


def _with_bounds(report: dict[str, Any], rates: Tensor, reward: Tensor) -> dict[str, Any]:
    """Add the share of rows at a bound, and warn where it is large.

    Rates of pairs, (k, n), are raised to 0.003 before anything is divided by them; a reward, (n,), above 0.98
    is squeezed below 1.
    """
    low = float((rates < FLOOR).any(0).double().mean())
    high = float((reward > TOP).double().mean())
    warnings = [report["warning"]] if "warning" in report else []
    if low > AT_BOUND:
        warnings.append(
            f"in {low:.0%} of the rows channels fire together with a rate below {FLOOR:g}, to which it is "
            "raised: the reward of these rows is too low"
        )
    if high > AT_BOUND:
        warnings.append(
            f"in {high:.0%} of the rows the reward is above {TOP:g} and squeezed below 1: channels exclude "
            "each other, or too few fire together"
        )
    bounds = {"rates_raised": round(low, 4), "rewards_squeezed": round(high, 4)}
    return report | bounds | ({"warning": "; ".join(warnings)} if warnings else {})


def _report(
    names: list[str], values: Tensor, group: Tensor | None, weight: Tensor
) -> dict[str, Any]:
    """Report the weighted mean of every estimate, its 95 % interval clustered by prompt, and the test."""
    known = ~values.isnan().any(1)
    v = values[known].cpu().numpy()
    ids = prompt_numbers(len(v), None if group is None else group[known]).numpy()
    w = weight[known].cpu().numpy()
    mean = w @ v / w.sum()
    sums = np.stack([np.bincount(ids, w * c) for c in (v - mean).T], 1)
    covariance = sums.T @ sums / w.sum() ** 2
    sd = np.sqrt(np.diag(covariance))
    report: dict[str, Any] = {
        "mean_reward": {
            name: {"value": m, "low": m - 1.96 * s, "high": m + 1.96 * s}
            for name, m, s in zip(names, mean.tolist(), sd.tolist(), strict=True)
        }
    }
    if len(names) < 2:
        return report
    contrast = np.eye(len(names))[1:] - np.eye(len(names))[:1]
    difference = contrast @ mean
    inverse = np.linalg.pinv(contrast @ covariance @ contrast.T)
    wald = float(difference @ inverse @ difference)
    p = float(chdtrc(len(difference), wald))
    wide = np.sqrt(np.diag(contrast @ covariance @ contrast.T))
    excluded = float((np.abs(difference) + 1.96 * wide).max())
    report["test"] = {"chi_squared": round(wald, 2), "p": p, "not_excluded": round(excluded, 3)}
    if p >= LEVEL and excluded > WIDE:
        report["warning"] = (
            f"the test whether pairs of channels agree finds nothing (p = {p:.2g}) and could not find much: "
            f"mean rewards that differ by up to {excluded:.2f} are not excluded, so the log does not show "
            "that channels fire independently"
        )
    if p < LEVEL:
        report["warning"] = (
            f"pairs of channels disagree on the mean reward ({mean.min():.2f} to {mean.max():.2f}, p = "
            f"{p:.1g}): channels depend on each other, or users misclick; log what makes users active as "
            "context.* and use -o activity=xz"
        )
    return report


def _constant(
    name: str, names: Sequence[str], b: Feedback, fires: int, logged: int
) -> TruewardError:
    """Return the error about a channel without variation, with a choice of channels that has some."""
    varying = [k for k in names if k != name and {0.0, 1.0} <= set(b.channels[k].tolist())]
    if len(varying) > 1:
        advice = f"leave it out, as by fit channels -o channels={','.join(varying)}"
    else:
        advice = "fit auto selects a method that does without it"
    return TruewardError(
        f"channel.{name} {'always' if fires else 'never'} fires in the {logged} rows where it is logged, so "
        f"it does not separate answers: {advice}"
    )


def check(names: Sequence[str], b: Feedback) -> dict[str, Any]:
    """Count how often channels fire, alone and together.

    Parameters
    ----------
    names : sequence of str
        Channels.
    b : Feedback
        The log.

    Returns
    -------
    dict
        ``channels``: logged rows and fires of each; ``together``: fires of every pair.

    Raises
    ------
    TruewardError
        If a channel always or never fires, or no two channels fire together often enough.

    """
    shares = {}
    for k in names:
        logged = b.channels[k][~b.channels[k].isnan()]
        fires = int((logged > 0).sum())
        shares[k] = {"logged": len(logged), "fires": fires}
        if fires in (0, len(logged)):
            raise _constant(k, names, b, fires, len(logged))
    together = {
        f"{one}&{other}": int(((b.channels[one] > 0) & (b.channels[other] > 0)).sum())
        for one, other in itertools.combinations(names, 2)
    }
    if max(together.values()) < MIN_PER_CLASS:
        raise TruewardError(
            f"no two channels fire together in {MIN_PER_CLASS} rows or more ({together}), and only their "
            "joint distribution separates satisfaction from activity: log more rows, or channels that can "
            "fire together"
        )
    return {"channels": shares, "together": together}
