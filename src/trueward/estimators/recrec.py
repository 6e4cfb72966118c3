"""ReCRec: clicks as satisfaction times exposure, both learned by expectation-maximisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch

from trueward.core.options import Opt
from trueward.data.feedback import Columns, Feedback
from trueward.estimation.losses import bce, log_mixture
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Computed, Estimable, Parameters
from trueward.estimation.samplers import every, population, shuffle

if TYPE_CHECKING:
    from torch import Tensor


class ReCRec(Method):
    """L = mean l(v, P_mu) + mean l(s, P_g) + mean CE(sg[mu] g, y), g = sigmoid(s), mu = sigmoid(v).

    s: reward logit; v: exposure logit; y: 1 for a click; l: cross-entropy; sg: stop-gradient. Where y = 0,
    P_mu = mu (1 - g) / (1 - mu g) and P_g = g (1 - mu) / (1 - mu g); where y = 1 both are 1; both are held
    fixed. This is an EM step of the likelihood of implicitrm, with a doubled step in s (methods 3.4).
    form=I: mu is one learned number. form=F: mu is a network on x, and the loss has the term w_popularity
    mean (mu - theta)^2, theta = sqrt(clicks of the prompt / most clicks of a prompt); a prompt takes the
    place of an item. The authors' code leaves that term out, so that nothing identifies mu, and calibrates
    on clean labels.
    """

    form: Annotated[
        Literal["I", "F"], Opt("exposure: one number (I), or a network drawn to popularity (F)")
    ] = "I"
    w_popularity: Annotated[float, Opt("form=F: weight of the popularity term", 0)] = 0.8
    sampler: Annotated[
        Literal["every", "published"],
        Opt(
            "every row once an epoch; published: all clicks and 4 times as many others, which raises P(y=1)"
        ),
    ] = "every"

    paper = "Lin et al., ACM TOIS 2024"
    variants = ({}, {"form": "F"}, {"sampler": "published"})

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"clicks"} | ({"group"} if self._popular else set()))

    @property
    def _popular(self) -> bool:
        return self.form == "F" and self.w_popularity > 0

    @property
    def heads(self) -> dict[str, str]:
        return {"reward": "x", "exposure": "one" if self.form == "I" else "x"}

    @property
    def nuisances(self) -> tuple[Estimable, ...]:
        return (popularity(),) if self._popular else ()

    def batches(
        self, data: Feedback, rows: Tensor, size: int, g: torch.Generator
    ) -> Iterator[Tensor]:
        if self.sampler == "every":
            return shuffle(rows, size, g, data.weight)
        rows = population(rows, data.weight, g)
        clicked = data.y[rows].cpu() > 0
        rest = rows[~clicked]
        drawn = rest[torch.randperm(len(rest), generator=g)[: 4 * int(clicked.sum())]]
        return shuffle(torch.cat([rows[clicked], drawn]), size, g)

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        s, v, y = out.reward, out.exposure, b.y
        g, mu = torch.sigmoid(s.detach()), torch.sigmoid(v.detach())
        rest = (1 - y) / (1 - mu * g).clamp(min=1e-12)
        loss = bce(v, y + mu * (1 - g) * rest) + bce(s, y + g * (1 - mu) * rest)
        if self._popular:
            loss = loss + self.w_popularity * (torch.sigmoid(v) - b.eta.popularity).square()
        return loss.mean() + self.monitor(out, b)

    def monitor(self, out: Columns, b: Feedback) -> Tensor:
        s, mu = out.reward, torch.sigmoid(out.exposure.detach())
        one, zero = log_mixture(s, 0.0, mu), log_mixture(s, 1.0, 1 - mu)
        return -(b.y * one + (1 - b.y) * zero).mean()


def popularity() -> Computed:
    """Return the nuisance sqrt(clicks of the prompt / most clicks of a training prompt).

    This is the published popularity of an item, with a prompt in the place of an item.
    """

    def counts(b: Feedback) -> Tensor:
        ids = torch.unique(every(b) if b.group is None else b.group, return_inverse=True)[1]
        ids = ids.to(b.y.device)
        return torch.zeros_like(b.y).index_add(0, ids, b.y)[ids]

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        most = counts(train).max().clamp(min=1e-6)
        return {"most": most}, {"most_clicks": float(most)}

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        return {"popularity": (counts(b) / at["most"]).clamp(max=1.0).sqrt()}

    return Computed("popularity", ("popularity",), fit, apply)
