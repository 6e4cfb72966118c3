"""The nuisances methods share: what is estimated before the reward, out of fold, and then held fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from trueward.core.errors import TruewardError
from trueward.core.options import Opt
from trueward.core.random import torch_stream

from . import samplers
from .nuisance_types import Computed, Derived, Nuisance

PropensityFrom = Annotated[
    Literal["xz", "z"], Opt("p of features and context, or of the context alone")
]

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

propensity = Nuisance(name="propensity", target=lambda b: b.o, reads="xz", clip=0.01)
"""p(x, z) = P(o=1 given x, z), log-loss on all rows (Rosenbaum and Rubin 1983)."""

imputation = Nuisance(name="imputation", target=lambda b: b.y, where=samplers.observed)
"""m(x) = P(r=1 given x, o=1), cross-entropy on rated rows."""

noisy = Nuisance(name="noisy", target=lambda b: b.y, where=samplers.observed)
"""eta(x) = P(r=1 given x, o=1): the noisy proxy that flip rates are read from."""

responds = Nuisance(name="responds", target=lambda b: b.o)
"""P(o=1 given x): who reacts to what, whatever the context was."""

clicked = Nuisance(name="noisy", target=lambda b: b.y)
"""eta(x) = P(y=1 given x) over all rows of an implicit log."""


@dataclass(frozen=True)
class Clip:
    """p -> max(p, low), counting what it raised; the one place where a propensity is clipped."""

    low: float

    def __call__(self, p: Tensor) -> Tensor:
        """Raise (n,) probabilities to ``low``."""
        return p.clamp(min=self.low)

    def report(self, p: Tensor, o: Tensor) -> dict[str, Any]:
        """Count raised rows; effective sample size (sum w)^2 / sum w^2 of w = o/p on rated rows."""
        seen = o > 0
        w = 1 / self(p)[seen].double()
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
                "rated rows: the weighted estimate rests on few rows"
            )
        return report


def platt(logit: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[float, float]:
    """(slope, offset) that minimise the log-loss of sigmoid(slope * logit + offset), rows weighted.

    Platt's method; a slope below 0 means that the logit ranks backwards out of fold, that is, it carries
    nothing: it is then set to 0 and the offset to the base rate.
    """
    s, t = logit.double().numpy(), target.double().numpy()
    w = None if weight is None else weight.double().numpy()
    mean = float(np.clip(np.average(t, weights=w), 1e-4, 1 - 1e-4))
    constant = (0.0, float(np.log(mean / (1 - mean))))
    if t.min() == t.max() or s.std() < 1e-9:
        return constant

    def risk(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        v = line[0] * s + line[1]
        gap = expit(v) - t
        # a ridge of one observation keeps separable logits finite
        loss, pull = np.average(np.logaddexp(0, v) - t * v, weights=w), (line[0] - 1) / len(t)
        slope = np.average(gap * s, weights=w) + pull
        return float(loss + 0.5 * (line[0] - 1) * pull), np.array(
            [slope, np.average(gap, weights=w)]
        )

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
    """c = P(act given satisfied) = h(mean(y)) / prior, or the anchor h(Q_u(eta)) without a prior.

    h(v) = (v - g) / (1 - f - g) undoes misclicks: P(y=1) = g + (1 - f - g) c r.
    The prior is P(r*=1), with ``gold`` the share of good ones among the gold labels; the anchor assumes
    answers that certainly satisfy (Elkan and Noto, KDD 2008).
    """

    def compute(b: Feedback, _seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        def meant(share: float) -> float:
            return max(0.0, (share - false_click) / (1 - false_click - missed_click))

        clicks, share = meant(float(b.y.double().mean())), prior
        if gold and b.gold is not None:
            share = float(b.gold[b.audited].double().mean())
        if share is None:
            c = meant(float(np.quantile(b.eta.noisy.double().cpu().numpy(), quantile)))
        else:
            c = clicks / max(share, 1e-6)
        if c > 1 and share is not None:
            source = "share of good gold labels" if gold else "given prior"
            raise TruewardError(
                f"{clicks:.1%} of the responses have a click, more than the {source} P(satisfied) = "
                f"{share:.3g}: no activity can explain that; raise -o prior"
            )
        c = min(1.0, max(c, clicks, 1e-6))  # mean(y) = c E[gamma] <= c
        report = {"given_prior": share, "activity_rate": c, "implied_prior": clicks / c}
        return {"activity_rate": c}, report

    return Derived("activity_rate", ("activity_rate",), compute)


def scar(
    prior: float | None, quantile: float, *, gold: bool = False
) -> tuple[Nuisance | Derived, ...]:
    """The one activity of all satisfied users, from a known P(satisfied), gold labels or the anchor."""
    rate = activity_rate(prior, quantile, gold=gold)
    return (rate,) if gold or prior is not None else (clicked, rate)


def click_propensity(alpha: float, rate: float) -> Computed:
    """theta = k where y = 1, k alpha^4 where y = 0, with k so that the mean over training rows is rate.

    The published propensity of a click. It is read off the label itself, hence constant on clicks:
    a propensity in name only, kept to reproduce tables. A logged propensity takes its place.
    """

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        clicks = float(train.y.double().mean())
        k = rate / (clicks + (1 - clicks) * alpha**4)
        about = {"clicked": min(1.0, k), "not_clicked": min(1.0, k * alpha**4)}
        return {"of": torch.tensor([k * alpha**4, k])}, about

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        without, clicked = at["of"].to(b.y)
        return {"propensity": torch.where(b.y > 0, clicked, without).clamp(max=1.0)}

    return Computed("click_propensity", ("propensity",), fit, apply)


def strata(nu: float, far: float) -> Computed:
    """Where a row lies as a one-class SVM on clicked rows sees it: 1 inside, 2 farthest, 0 between.

    RBF kernel on standardised features, at most 10,000 clicks; farthest: the share ``far`` of the rows
    without a click with the lowest score.
    """

    def fit(train: Feedback, _val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        from sklearn.svm import OneClassSVM  # noqa: PLC0415 - slow to import

        mean, sd = train.x.float().mean(0), train.x.float().std(0).clamp(min=1e-6)
        clicks = (train.y > 0).nonzero().squeeze(-1)
        order = torch.randperm(len(clicks), generator=torch_stream(seed, "strata"))
        kept = (train.x[clicks[order[:10_000].to(clicks.device)]].float() - mean) / sd
        svm = OneClassSVM(nu=nu).fit(kept.cpu().numpy())
        vectors, dual = (
            torch.from_numpy(v).to(kept) for v in (svm.support_vectors_, svm.dual_coef_[0])
        )
        numbers = torch.tensor([svm._gamma, svm.intercept_[0]]).to(kept)  # noqa: SLF001
        at = {"mean": mean, "sd": sd, "vectors": vectors, "dual": dual, "numbers": numbers}
        without = scores(at, train)[train.y <= 0].sort().values
        at["edge"] = without[max(0, round(far * len(without)) - 1)]
        found = apply(at, train)["stratum"][train.y <= 0]
        report: dict[str, Any] = {
            name: int((found == k).sum())
            for k, name in enumerate(("between", "inside", "farthest"))
        }
        if not all(report.values()):
            report["warning"] = f"a stratum of the rows without a click is empty: {report}"
        return at, report

    def scores(at: Parameters, b: Feedback) -> Tensor:
        width, offset = at["numbers"]
        found = []
        for part in b.x.split(4096):
            gap = torch.cdist((part.float() - at["mean"]) / at["sd"], at["vectors"]).square()
            found.append(torch.exp(-width * gap) @ at["dual"] + offset)
        return torch.cat(found)

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        d = scores(at, b)
        return {"stratum": torch.where(d >= 0, 1.0, torch.where(d <= at["edge"], 2.0, 0.0)).to(b.y)}

    return Computed("strata", ("stratum",), fit, apply, features=True)
