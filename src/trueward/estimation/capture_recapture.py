"""What channels say together: gamma = P_1 P_2 / P_12, and whether all pairs say the same."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import chdtrc

from trueward.core.errors import TruewardError
from trueward.data.capabilities import FEWEST
from trueward.data.feedback import prompt_numbers

from .nuisance_types import Computed, Nuisance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

FLOOR = 0.003  # of a rate: some are divided by
TOP = 0.98  # of a product that estimates a probability
LEVEL = 0.001  # p-value below which estimates disagree
Product = dict[tuple[str, ...], int]  # channels that fire together -> exponent of their rate


@cache
def rate(*names: str) -> Nuisance:
    """P(all of these channels fire given x), on the rows where all are logged."""

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
    """What gives gamma(x): P_1 P_2 / P_12 of a pair, P_123 P_1 P_2 P_3 / (P_12 P_13 P_23) of the first three.

    Where busy users do everything, a pair gives less than gamma and three give nearly gamma, so their
    disagreement shows dependence that all pairs share.
    """
    found: dict[tuple[str, ...], Product] = {
        pair: {pair[:1]: 1, pair[1:]: 1, pair: -1} for pair in itertools.combinations(names, 2)
    }
    if len(names) > 2:
        three = tuple(names[:3])
        product: Product = {three: 1} | {(k,): 1 for k in three}
        product |= dict.fromkeys(itertools.combinations(three, 2), -1)
        found[three] = product
    return found


def rates(names: Sequence[str]) -> tuple[Nuisance, ...]:
    """Give what `agreement` reads."""
    asked = dict.fromkeys(k for product in products(names).values() for k in product)
    return tuple(rate(*k) for k in asked)


def agreement(names: Sequence[str]) -> Computed:
    """(P_1 P_2 / P_12)(x), the mean over pairs, and a Wald test that all `products` have the same mean.

    Each mean has its one-step correction, so that first-order errors of the rates drop out: with c the
    product of rates P_j to the powers e_j, psi = mean [ c + c sum_j e_j (y_j - P_j) / P_j ].
    """
    asked = products(names)

    def floored(b: Feedback, names: tuple[str, ...]) -> Tensor:
        return b.eta[_column(names)].double().clamp(min=FLOOR)

    def value(b: Feedback, product: Product) -> Tensor:
        return torch.stack([floored(b, k) ** e for k, e in product.items()]).prod(0)

    def corrected(b: Feedback, product: Product) -> Tensor:
        errors = [e * (_together(b, k).double() / floored(b, k) - 1) for k, e in product.items()]
        return value(b, product) * (1 + torch.stack(errors).sum(0))

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        found = torch.stack([corrected(train, product) for product in asked.values()], 1)
        return {}, _judged(["&".join(k) for k in asked], found, train.group)

    def apply(_at: Parameters, b: Feedback) -> dict[str, Tensor]:
        pairs = [value(b, product) for names, product in asked.items() if len(names) == 2]
        return {"target": _below_one(torch.stack(pairs).mean(0)).to(b.y)}

    return Computed("agreement", ("target",), fit, apply)


def _below_one(v: Tensor) -> Tensor:
    """v up to ``TOP``, then towards 1 and never there: what is beyond keeps its order."""
    rest = 1 - TOP
    return torch.where(v < TOP, v, 1 - rest * torch.exp((TOP - v) / rest))


def _judged(names: list[str], values: Tensor, group: Tensor | None) -> dict[str, Any]:
    """Give mean and 95 % interval of every estimate, clustered by prompt, and compare them."""
    known = ~values.isnan().any(1)
    v = values[known].cpu().numpy()
    ids = prompt_numbers(len(v), None if group is None else group[known]).numpy()
    mean = v.mean(0)
    sums = np.stack([np.bincount(ids, c) for c in (v - mean).T], 1)
    covariance = sums.T @ sums / len(v) ** 2
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
    gap = contrast @ mean
    wald = float(gap @ np.linalg.pinv(contrast @ covariance @ contrast.T) @ gap)
    p = float(chdtrc(len(gap), wald))
    report["test"] = {"chi_squared": round(wald, 2), "p": p}
    if p < LEVEL:
        report["warning"] = (
            f"pairs of channels disagree on the mean reward ({mean.min():.2f} to {mean.max():.2f}, p = "
            f"{p:.1g}): users who do one do the other, or misclick; put what makes users active into "
            "context.* and use -o activity=xz"
        )
    return report


def check(names: Sequence[str], b: Feedback) -> dict[str, Any]:
    """Count what fires; refuse channels that cannot be told apart from nothing, or never meet."""
    shares = {}
    for k in names:
        logged = b.channels[k][~b.channels[k].isnan()]
        fires = int((logged > 0).sum())
        shares[k] = {"logged": len(logged), "fires": fires}
        if fires in (0, len(logged)):
            always = "always" if fires else "never"
            raise TruewardError(
                f"channel.{k} {always} fires in the {len(logged)} rows where it is logged, so it tells no "
                "answer from another: leave it out (-o channels=...), or log 0 where nothing happened"
            )
    together = {
        f"{one}&{other}": int(((b.channels[one] > 0) & (b.channels[other] > 0)).sum())
        for one, other in itertools.combinations(names, 2)
    }
    if max(together.values()) < FEWEST:
        raise TruewardError(
            f"no two channels fire together in {FEWEST} rows or more ({together}), and their joint law is "
            "all that tells satisfaction from activity: log more, or channels that can meet"
        )
    return {"channels": shares, "together": together}
