"""Several signals per response: which fire together separates satisfaction from activity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.capture_recapture import agreement, check, rates
from trueward.estimation.channel_propensity import activity, activity_column
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Claims, Method
from trueward.estimation.nuisance_types import Derived, Estimable
from trueward.estimation.reward_form import HeadLogit, RewardForm, TargetColumn

if TYPE_CHECKING:
    from torch import Tensor


class Channels(Method):
    """L = -mean log [ g prod_k P(y_k given good) + (1 - g) prod_k P(y_k given bad) ], g = sigmoid(s).

    s: reward logit; y_k: 1 where channel k fires. P(y_k = 1 given good) = e_k + (1 - e_k) a_k and P(y_k =
    1 given bad) = e_k, with activity a_k(x) and misclick rate e_k; for a negative channel, which bad
    answers cause to fire, the other way round. A channel that is not logged in a row does not count there.
    Two channels identify g pointwise, as P_1 P_2 / P_12 (Lincoln and Petersen, methods 4.3); three or more
    test it: see ``agreement`` in the report.
    form=two_step: a_k(x) = P(y_k = 1 given x and that another channel fired), since such users are
    satisfied, and only g is left to learn. form=likelihood: a_k is learned with g, which negative channels
    and misclicks need. form=ratio: g = P_1 P_2 / P_12 of three rates out of fold. form=auto: two_step
    where it is possible.
    """

    channels: Annotated[
        Literal["all"] | tuple[str, ...],
        Opt("channels to use, without the prefix channel.; all are those that vary"),
    ] = "all"
    negative: Annotated[
        tuple[str, ...], Opt("channels that fire for bad answers, not for good ones")
    ] = ()
    misclick: Annotated[
        tuple[float, ...],
        Opt("P(fires by mistake): one rate for all, or one each in the order of channels", 0, 0.5),
    ] = (0.0,)
    activity: Annotated[
        Literal["x", "xz", "one"],
        Opt(
            "what activity depends on: features (x), context as well (xz), nothing (one; likelihood)"
        ),
    ] = "x"
    form: Annotated[
        Literal["auto", "two_step", "likelihood", "ratio"], Opt("how activity is estimated")
    ] = "auto"

    paper = "ours (methods 4.3); capture-recapture: Petersen 1896, Lincoln 1930"
    variants = (
        {"channels": ("copy", "like")},
        {"channels": ("copy", "like", "share"), "misclick": (0.01,), "negative": ("share",)},
        {"channels": ("copy", "like"), "activity": "xz"},
        {"channels": ("copy", "like"), "activity": "one"},
        {"channels": ("copy", "like"), "form": "likelihood"},
        {"channels": ("copy", "like"), "form": "ratio"},
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The channels; empty as long as the log is not known."""
        return () if isinstance(self.channels, str) else self.channels

    @property
    def two_step(self) -> bool:
        """Whether activity is estimated first: no channel fires for a bad answer."""
        exact = not self.negative and not any(self.misclick) and self.activity != "one"
        return self.form == "two_step" or (self.form == "auto" and exact)

    @property
    def needs(self) -> frozenset[str]:
        context = {"z"} if self.activity == "xz" else set()
        return frozenset({"two channels", *(f"channel.{k}" for k in self.names)} | context)

    @property
    def heads(self) -> dict[str, str]:
        if self.composed:
            return {"reward": "x"}
        if self.two_step:
            return {"reward": "x", "level": "one"}
        activity = {f"activity_{k}": self.activity for k in range(len(self.names))}
        levels = {f"level_{k}": "one" for k in range(len(self.names))}
        return {"reward": "x", "level": "one"} | activity | levels

    def reward_form(self) -> RewardForm:
        return TargetColumn() if self.form == "ratio" else HeadLogit(level="level")

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        good = [k for k in self.names if k not in self.negative]
        tested = len(good) > 2 or self.form == "ratio"
        pairs: tuple[Estimable, ...] = (*rates(good), agreement(good)) if tested else ()
        each = self.names if self.two_step else ()
        first = (step for k in each for step in activity(k, self.names, self.activity))
        steps = (*first, *pairs)
        return (channel_counts(self.names), *steps) if self.names else ()

    @property
    def consistent_if(self) -> Claims:
        exact = self.form == "likelihood" and not self.negative and not any(self.misclick)
        return (frozenset({"independent_channels"}),) if exact and len(self.names) == 2 else ()

    @property
    def assumption(self) -> str:
        return (
            "given the features (and the context) and that the answer is good, the channels fire "
            "independently; for a bad answer they fire only at the given misclick rates"
        )

    def resolve(self, capabilities: LogCapabilities) -> tuple[Method, tuple[str, ...]]:
        usable = capabilities.usable_channels
        if self.channels != "all" or len(usable) < 2:
            return self, ()
        left_out = (capabilities.left_out,) if capabilities.left_out else ()
        return replace(self, channels=usable), left_out

    def validate(self) -> None:
        if len(self.names) == 1:
            raise UsageError(f"channels: needs two channels or more, and got one: {self.names[0]}")
        if self.names and (unknown := [k for k in self.negative if k not in self.names]):
            raise UsageError(f"channels: negative has {unknown[0]}, which is none of {self.names}")
        if self.names and len(self.misclick) not in (1, len(self.names)):
            raise UsageError(
                f"channels: misclick takes one rate, or one for each of {', '.join(self.names)}"
            )
        if self.form in ("two_step", "ratio") and (self.negative or any(self.misclick)):
            raise UsageError(
                f"channels: form={self.form} has no negative channels and no misclicks; use form=likelihood"
            )
        if self.form == "two_step" and self.activity == "one":
            raise UsageError(
                "channels: activity=one is learned with the reward, so it needs form=likelihood"
            )

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s = self.reward(out)
        if self.form == "ratio":
            return bce(s, b.eta.target).mean()
        slips = self.misclick * len(self.names) if len(self.misclick) == 1 else self.misclick
        good, bad = torch.nn.functional.logsigmoid(s), torch.nn.functional.logsigmoid(-s)
        for k, (name, e) in enumerate(zip(self.names, slips, strict=True)):
            y = b.channels[name]
            if self.two_step:
                v = torch.logit(b.eta[activity_column(name)], 1e-6)
            else:
                v = out[f"activity_{k}"] + out[f"level_{k}"]
            logged, fired = ~y.isnan(), y.nan_to_num()
            intended = fired * log_mixture(v, e, 1.0) + (1 - fired) * log_mixture(v, 1 - e, 0.0)
            slip = (fired * e + (1 - fired) * (1 - e)).clamp(min=1e-12).log()
            for_good, for_bad = (slip, intended) if name in self.negative else (intended, slip)
            good, bad = good + for_good * logged, bad + for_bad * logged
        return -torch.logaddexp(good, bad).mean()


def channel_counts(names: tuple[str, ...]) -> Derived:
    """Return the nuisance that checks the channels and gives the share of rows in which any fires.

    Parameters
    ----------
    names : tuple of str
        Channels, without the prefix ``channel.``.

    Returns
    -------
    Derived
        Computes ``fires``, the share of rows, and the counts of `check` for the report.

    """

    def compute(b: Feedback, _seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        report = check(names, b)
        fired = torch.stack([b.channels[k].nan_to_num() for k in names]).amax(0)
        return {"fires": float(fired.mean())}, report

    return Derived("channel_counts", ("fires",), compute)
