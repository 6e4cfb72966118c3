"""ImplicitRM: clicks as satisfaction times activity, with a declared source of the scale."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.declarations import AnchorQuantile, ClassPrior
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Estimable
from trueward.estimation.nuisances import activity_rate, clicked, propensity

if TYPE_CHECKING:
    from torch import Tensor


class ImplicitRM(Method):
    """L = mean CE(P, y), P = g + (1 - f - g) r a, with r = sigmoid(s) and a = P(act given satisfied).

    s: reward logit; y: 1 for a click; g, f: rates of false and missed clicks. Only the product r a is
    identified: r may lie anywhere in [P(y=1 given x), 1] (methods 3.5). ``identify`` declares what fixes
    it. scar: a = c, from the prior, or from the anchor max r = 1. split: a depends on the context z only,
    so r and a are identified up to one factor, which the prior or the anchor gives (with activity_from=xz
    only the shape of the networks identifies them, which is weak). activity: channel.active is logged, and
    active rows are labelled. gold: rows with a gold label enter as l(s, gold). none: nothing, and the
    result is an interval.
    """

    identify: Annotated[
        Literal["scar", "split", "activity", "gold", "none"],
        Opt("what identifies the scale of the reward, which clicks alone do not"),
    ]
    prior: ClassPrior = None
    anchor_quantile: AnchorQuantile = 0.99
    form: Annotated[
        Literal["direct", "em"], Opt("the likelihood (direct), or its EM step (em)")
    ] = "direct"
    activity_from: Annotated[
        Literal["z", "xz"],
        Opt("split: inputs of the activity: context alone (z), or features as well (xz)"),
    ] = "z"
    warm_up: Annotated[
        float, Opt("share of the training that brings r and a to their scale", 0, 1, open_high=True)
    ] = 0.1
    w_prior: Annotated[float, Opt("split: weight of (mean r - prior)^2", 0)] = 1.0
    w_mu: Annotated[float, Opt("weight of the variance of logit a", 0)] = 0.1
    false_click: Annotated[
        float, Opt("g: P(click given not both satisfied and active)", 0, 0.5)
    ] = 0.0
    missed_click: Annotated[float, Opt("f: P(no click given satisfied and active)", 0, 0.5)] = 0.0
    allow_unidentified: Annotated[bool, Opt("identify=none: accept an interval")] = False

    paper = (
        "ImplicitRM, arXiv 2603.23184, Eq. (7); the likelihood form is ours; preset sar_em: Bekker, "
        "Robberechts and Davis, ECML 2019"
    )
    presets = {"sar_em": {"identify": "split", "form": "em", "w_prior": 0.0, "w_mu": 0.0}}
    variants = (
        *({"identify": i, "form": f} for i in ("scar", "split", "gold") for f in ("direct", "em")),
        {"identify": "scar", "prior": 0.7},
        {"identify": "split", "prior": 0.7, "false_click": 0.05, "missed_click": 0.1},
        {"identify": "split", "activity_from": "xz"},
        presets["sar_em"],
        {"identify": "activity"},
        {"identify": "none", "allow_unidentified": True},
    )

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(
            {"split": {"z"}, "gold": {"gold"}, "activity": {"channel.active"}}.get(
                self.identify, set()
            )
        )

    @property
    def heads(self) -> dict[str, str]:
        activity = {"split": self.activity_from, "gold": "x"}.get(self.identify)
        return {"reward": "x"} | ({"activity": activity} if activity else {})

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        if self.identify == "none":
            return ()
        if self.identify == "activity":
            return (replace(propensity, target=active, where=activity_logged),)
        return (clicked, activity_rate(*self._scale))

    @property
    def _scale(self) -> tuple[float | None, float, float, float]:
        return self.prior, self.anchor_quantile, self.false_click, self.missed_click

    @property
    def consistent_if(self) -> Claims:
        rate = frozenset({"activity_rate"})
        return {"scar": (rate,), "activity": (frozenset({"propensity"}),)}.get(self.identify, ())

    @property
    def assumption(self) -> str:
        return {
            "scar": "every satisfied user is equally likely to act, and the prior or anchor is right",
            "split": "the features alone decide satisfaction, the context alone decides activity, both "
            "vary, and the prior or anchor is right",
            "activity": "activity is logged, and depends on the features and context only",
            "gold": "gold rows are drawn at random, or weighted to be, and cover the features",
            "none": "nothing: the reward lies between P(click) and 1, and no ranking is identified",
        }[self.identify] + "; a click always means satisfaction (up to the given false_click)"

    @property
    def interval_only(self) -> bool:
        return self.identify == "none"

    @property
    def warm_up_fraction(self) -> float:
        return self.warm_up if self.identify in ("scar", "split", "gold") else 0.0

    def validate(self) -> None:
        if self.identify == "none" and not self.allow_unidentified:
            raise UsageError(
                "implicitrm: clicks alone leave the reward anywhere between P(click) and 1; choose what "
                "identifies it (-o identify=scar, split, activity or gold), or accept the interval with "
                "-o allow_unidentified=true"
            )
        if self.prior is not None and self.identify not in ("scar", "split"):
            raise UsageError(
                f"implicitrm: identify={self.identify} would ignore the given prior; drop one"
            )
        misclick = self.false_click or self.missed_click
        if misclick and (self.form == "em" or self.identify in ("none", "activity")):
            raise UsageError("implicitrm: misclick rates need form=direct and a modelled activity")

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s = out.reward
        if self.identify == "none":
            return bce(s, b.y).mean()
        if self.identify == "activity":
            w = active(b) / b.eta.propensity
            return (w * bce(s, b.y)).sum() / w.sum().clamp(min=1e-12)
        c = b.eta.activity_rate
        v = out.activity if "activity" in out else torch.logit(c.clamp(1e-6, 1 - 1e-6))
        if (
            b.t < self.warm_up
        ):  # start at r a = eta and a = c, not at the symmetric r = a = sqrt(eta)
            f, g = self.missed_click, self.false_click
            intended = (b.eta.noisy - g).clamp(min=0.0) / (1 - f - g)
            start = bce(s, (intended / c).clamp(max=0.99)).mean()
            return start + (bce(v, c).mean() if "activity" in out else 0)
        likelihood = self.em(s, v, b.y) if self.form == "em" else self.direct(s, v, b.y)
        return likelihood + self.identifying_terms(s, v, out, b)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        return replace(self, form="direct").loss(out, b)

    def direct(self, s: Tensor, v: Tensor, y: Tensor) -> Tensor:
        """Return the mean of CE(g + (1 - f - g) r a, y) for reward logits s and activity logits v."""
        f, g, a = self.missed_click, self.false_click, torch.sigmoid(v)
        one = log_mixture(s, g, g + (1 - f - g) * a)
        zero = log_mixture(s, 1 - g, (1 - g) * (1 - a) + f * a)
        return -(y * one + (1 - y) * zero).mean()

    def em(self, s: Tensor, v: Tensor, y: Tensor) -> Tensor:
        """Return E_pref + E_prop (Eq. 7) with posteriors held fixed; its gradient is that of ``direct``."""
        pa, pp, na, _ = posteriors(s, v, y)
        return (bce(s, pa + pp) + bce(v, pa + na)).mean()

    def identifying_terms(self, s: Tensor, v: Tensor, out: Columns, b: Feedback) -> Tensor:
        """Return the terms that identify what the likelihood does not."""
        total = s.new_zeros(())
        if "activity" in out and len(v) > 1:
            total = total + self.w_mu * v.var()
        if self.identify == "split":
            prior = b.y.mean() / b.eta.activity_rate.mean() if self.prior is None else self.prior
            total = total + self.w_prior * (torch.sigmoid(s).mean() - prior).square()
        if b.gold is not None and self.identify == "gold":
            known = (~b.gold.isnan()).to(s)
            if b.gold_weight is not None:  # labels count 1 / P(labelled), 1 on average in the batch
                chance = b.gold_weight.nan_to_num() * known
                known = chance * known.sum() / chance.sum().clamp(min=1e-12)
            total = total + (bce(s, b.gold.nan_to_num()) * known).mean()
        return total


def active(b: Feedback) -> Tensor:
    """Return (n,), 1 where the user is known to have been active.

    Parameters
    ----------
    b : Feedback
        The log, with the channel ``active``.

    Returns
    -------
    Tensor, shape (n,)
        1 where the user was active; 0 where not, or where activity is not logged.

    """
    return b.channels["active"].nan_to_num()


def activity_logged(b: Feedback) -> Tensor:
    """Return the row numbers where activity is logged.

    Parameters
    ----------
    b : Feedback
        The log, with the channel ``active``.

    Returns
    -------
    Tensor of int
        The row numbers, on the CPU.

    """
    return (~b.channels["active"].isnan()).nonzero().squeeze(-1).cpu()


def posteriors(s: Tensor, v: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return P(positive-active), P(positive-passive), P(negative-active), P(negative-passive) given y.

    For y = 0, with Z = 1 - r a: 0, r (1-a) / Z, (1-r) a / Z, (1-r)(1-a) / Z. For y = 1 the first is 1.

    Parameters
    ----------
    s, v : Tensor, shape (n,)
        Logits of r = P(satisfied) and a = P(act given satisfied).
    y : Tensor, shape (n,)
        1 for a click.

    Returns
    -------
    tuple of four Tensor, shape (n,)

    """
    r, a = torch.sigmoid(s.detach()), torch.sigmoid(v.detach())
    rest = (1 - y) / (1 - r * a).clamp(min=1e-12)
    return y, r * (1 - a) * rest, (1 - r) * a * rest, (1 - r) * (1 - a) * rest
