"""Gold labels as the anchor: a logistic regression of them on what the log says and on the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit

from trueward.core.errors import TruewardError
from trueward.core.random import numpy_stream, stream_seed
from trueward.data.feedback import fold_of, prompt_numbers

from .nuisance_types import Computed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]
    Evidence = Callable[[Feedback], list[Tensor]]  # n rows -> (n,) log-odds each, naive's first

FEWEST = 10  # gold labels
WIDTHS = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0)  # s: sd of what the features add to the log-odds
BESIDE, ALONE = 0.5, 2.0  # sd of the half-normal prior of s, beside evidence and without any
DRAWS = 200  # bootstrap samples of gold prompts
FOLDS = 5  # of gold prompts, for the error on those held out
LOOSE = 1e-2  # precision of the intercept
COLUMNS = ("target", "low", "high")
CHUNK = 4096  # rows that are predicted at once


@dataclass(frozen=True)
class Mode:
    """Mode of a posterior, its prior and curvature, and its log evidence by Laplace's method."""

    w: Array
    precision: Array
    centre: Array
    curvature: Array
    evidence: float


@dataclass(frozen=True)
class Prior:
    """w ~ N(centre, 1 / precision) over intercept, k pieces of evidence and the features.

    ``centre`` and precision ``ridge`` are those of the evidence; ``sign`` says which way a piece may count, 0
    either. The features have the sd ``s`` and no say where s is 0.
    """

    ridge: float
    centre: tuple[float, ...]
    sign: tuple[float, ...]

    def __call__(self, s: float, width: int) -> tuple[Array, Array, Array]:
        """(precision, centre, sign) of ``width`` columns of a design; features count where s > 0."""
        k = len(self.centre)
        d = width - 1 - k if s else 0
        precision = np.r_[LOOSE, np.full(k, self.ridge), np.full(d, s**-2 if s else 1.0)]
        return precision, np.r_[0.0, self.centre, np.zeros(d)], np.r_[0.0, self.sign, np.zeros(d)]


@dataclass(frozen=True)
class Sample:
    """Gold rows: their design (n, 1 + k + d), labels, weights and the numbers of their prompts."""

    a: Array
    y: Array
    weight: Array
    group: NDArray[np.int64]

    def mode(self, prior: Prior, s: float) -> Mode:
        """Find the mode with ``sign`` kept: a coefficient on the wrong side is held at 0, one by one."""
        precision, centre, sign = prior(s, self.a.shape[1])
        a = self.a[:, : len(centre)]
        while True:
            found = logistic(a, self.y, self.weight, precision, centre)
            worst = int((sign * found.w).argmin())
            if sign[worst] * found.w[worst] >= -1e-6:
                return found
            precision[worst], centre[worst] = 1e12, 0.0

    def at(self, rows: NDArray[np.bool_]) -> Sample:
        """Take some rows."""
        return Sample(self.a[rows], self.y[rows], self.weight[rows], self.group[rows])


def logistic(a: Array, y: Array, weight: Array, precision: Array, centre: Array) -> Mode:
    """argmin_w sum_i weight_i l(a_i w, y_i) + sum_j precision_j (w_j - centre_j)^2 / 2, by Newton."""

    def risk(w: Array) -> float:
        v = a @ w
        loss = weight @ (np.logaddexp(0, v) - y * v)
        return float(loss + 0.5 * precision @ np.square(w - centre))

    w, now = centre.copy(), risk(centre)
    for _ in range(100):
        p = expit(a @ w)
        slope = a.T @ (weight * (p - y)) + precision * (w - centre)
        curvature = (a.T * (weight * p * (1 - p))) @ a + np.diag(precision)
        step, length = np.linalg.solve(curvature, slope), 1.0
        while (then := risk(w - length * step)) > now and length > 1e-6:
            length /= 2
        if then > now - 1e-10 * (1 + abs(now)):
            break
        w, now = w - length * step, then
    volume = np.log(precision).sum() - np.linalg.slogdet(curvature)[1]
    return Mode(w, precision, centre, curvature, float(0.5 * volume - now))


@dataclass(frozen=True)
class Anchor:
    """log-odds of good as gold labels have them, and as other draws of gold labels would have had them."""

    w: Array  # (columns,) mean of the modes over the widths s, each with its share
    covariance: Array  # of w over the draws

    @staticmethod
    def of(gold: Sample, prior: Prior, seed: int) -> tuple[Anchor, dict[float, float]]:
        """Fit every width; give also the share of each."""
        said = gold.a[:, 1 : 1 + len(prior.centre)] @ np.array(prior.centre)
        usual = max(BESIDE, float(said.std())) if prior.centre else ALONE
        found = widths(gold, prior, usual, least=0.0 if prior.centre else WIDTHS[1])
        times = resampled(gold.group, seed)
        columns = gold.a.shape[1]
        draws = np.zeros((DRAWS, columns))
        for share, mode in found.values():
            draws[:, : len(mode.w)] += share * _stepped(gold, mode, times)
        shares = {s: share for s, (share, _) in found.items()}
        return Anchor(averaged(found.values(), columns), np.cov(draws.T)), shares


def widths(
    sample: Sample, prior: Prior, usual: float, least: float = 0.0
) -> dict[float, tuple[float, Mode]]:
    """s -> its share of the posterior and the mode there: evidence times a half-normal of sd ``usual``.

    Shares below a thousandth are left out.
    """
    found = {s: sample.mode(prior, s) for s in WIDTHS if s >= least}
    log_share = np.array([m.evidence - (s / usual) ** 2 / 2 for s, m in found.items()])
    share = np.exp(log_share - log_share.max())
    share = np.where(share > 1e-3 * share.sum(), share, 0.0)
    share /= share.sum()
    return {s: (float(q), m) for q, (s, m) in zip(share, found.items(), strict=True) if q}


def averaged(found: Iterable[tuple[float, Mode]], columns: int) -> Array:
    """Mean of modes, each with its share; columns that a mode leaves out are 0 in it."""
    w = np.zeros(columns)
    for share, mode in found:
        w[: len(mode.w)] += share * mode.w
    return w


def _stepped(gold: Sample, mode: Mode, times: Array) -> Array:
    """One Newton step from the mode for every bootstrap sample, where row i counts times[:, i]."""
    a = gold.a[:, : len(mode.w)]
    error = gold.weight * (expit(a @ mode.w) - gold.y)
    slope = (times * error) @ a + mode.precision * (mode.w - mode.centre)
    return np.asarray(mode.w - np.linalg.solve(mode.curvature, slope.T).T)


def resampled(group: NDArray[np.int64], seed: int) -> Array:
    """(DRAWS, n) how often each row comes in a bootstrap sample of as many prompts."""
    count = int(group.max()) + 1
    rng = numpy_stream(seed, "bootstrap", "gold")
    return np.asarray(rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, group], float)


def anchoring(evidence: Evidence, prior: Prior) -> Computed:
    """P(good) of every row, with its interval, from gold labels (methods 4.2).

    logit P = b_0 + b . evidence + w . x; see `Prior`. s is averaged over by its marginal likelihood and a
    half-normal prior. Its sd is .5, or that of centre . evidence if it is more: features may add as much as
    the log says; 2 where there is no evidence. The interval: the spread over 200 bootstrap draws of gold
    prompts, one Newton step from the mode each.
    """

    def seen(b: Feedback) -> Tensor:
        return torch.cat([*(v[:, None] for v in evidence(b)), b.x], 1).double()

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parts = [d[d.audited] for d in (train, val)]
        labels = [d.gold.double().cpu().numpy() for d in parts if d.gold is not None]
        enough(np.concatenate(labels))
        known = torch.cat([seen(d) for d in parts])
        at = scaling(known, train.x, len(prior.centre))
        a = design(known, at).cpu().numpy()
        gold = Sample(a, np.concatenate(labels), row_weights(parts), _groups(parts))
        anchor, share = Anchor.of(gold, prior, seed)
        at |= {k: torch.from_numpy(v) for k, v in vars(anchor).items()}
        return at, _report(gold, prior, anchor, share, seed)

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        here = {k: v.to(b.x.device) for k, v in at.items()}
        rows = torch.arange(len(b)).split(CHUNK)
        parts = [predicted(design(seen(b[i]), here), here["w"], here["covariance"]) for i in rows]
        return {k: torch.cat([p[k] for p in parts]).to(b.y) for k in COLUMNS}

    return Computed("anchor", COLUMNS, fit, apply, features=True)


def scaling(known: Tensor, x: Tensor, k: int) -> Parameters:
    """Centres and units of k pieces of evidence and the features, from known rows and all features.

    Features keep their proportions and have the mean square length 1.
    """
    at = {"centre": known.mean(0), "unit": torch.ones_like(known[0])}
    at["centre"][k:] = x.double().mean(0)
    far = (known - at["centre"])[:, k:].square().sum(1).mean()
    at["unit"][k:] = far.clamp(min=1e-12).rsqrt()
    return at


def design(v: Tensor, at: Parameters) -> Tensor:
    """(n, 1 + k + d) rows: 1, then evidence and features centred and scaled."""
    return F.pad((v - at["centre"]) * at["unit"], (1, 0), value=1.0)


def predicted(a: Tensor, w: Tensor, covariance: Tensor) -> dict[str, Tensor]:
    """P(good) of (n, columns) rows, and the ends of its 95 % interval: 1.96 sd of the log-odds each way."""
    value, sd = a @ w, ((a @ covariance) * a).sum(1).clamp(min=0).sqrt()
    ends = (value, value - 1.96 * sd, value + 1.96 * sd)
    return {k: torch.sigmoid(v) for k, v in zip(COLUMNS, ends, strict=True)}


def row_weights(parts: list[Feedback]) -> Array:
    """Give how many rows of the population each row stands for, 1 on average."""
    weight = torch.cat([torch.ones_like(d.y) if d.weight is None else d.weight for d in parts])
    return (weight.double() / weight.double().mean()).cpu().numpy()


def _groups(parts: list[Feedback]) -> NDArray[np.int64]:
    """Number the prompts; every row is one of its own where the log has none."""
    known = [d.group for d in parts if d.group is not None]
    group = torch.cat(known) if len(known) == len(parts) else None
    return prompt_numbers(sum(map(len, parts)), group).numpy()


def enough(y: Array) -> None:
    """Refuse gold labels that nothing can be fitted on."""
    good = int((y > 0.5).sum())
    if len(y) < FEWEST:
        raise TruewardError(
            f"an anchor needs at least {FEWEST} gold labels, and found {len(y)}: have more responses audited"
        )
    if good in (0, len(y)):
        raise TruewardError(
            f"all {len(y)} gold labels say {'good' if good else 'bad'}, so they cannot tell one from the "
            "other: audit responses drawn at random"
        )


def _report(
    gold: Sample, prior: Prior, anchor: Anchor, share: dict[float, float], seed: int
) -> dict[str, Any]:
    """Say what was found, and the error on held-out gold prompts beside that of naive scaled alike."""
    k, best = len(prior.centre), max(share, key=lambda s: share[s])
    about: dict[str, Any] = {
        "gold": len(gold.y),
        "good": int((gold.y > 0.5).sum()),
        "coefficients": [round(float(v), 4) for v in anchor.w[: 1 + k]],
        "share_of_width": {f"{s:g}": round(q, 4) for s, q in share.items()},
    }
    if gold.group.max() + 1 < FOLDS:
        return about
    group = torch.from_numpy(gold.group)
    fold = fold_of(len(gold.y), FOLDS, stream_seed(seed, "gold folds"), group).numpy()
    rivals = {"anchored": (prior, best)} | (
        {"naive": (Prior(prior.ridge, (1.0,), (0.0,)), 0.0)} if k else {}
    )
    brier = {}
    for name, (chosen, s) in rivals.items():
        error = np.zeros(len(gold.y))
        for j in range(FOLDS):
            rest, here = gold.at(fold != j), fold == j
            w = rest.mode(chosen, s).w
            error[here] = np.square(expit(gold.a[here, : len(w)] @ w) - gold.y[here])
        brier[name] = error
    about["held_out_brier"] = {name: round(float(e.mean()), 4) for name, e in brier.items()}
    if k:
        gap = brier["anchored"] - brier["naive"]
        if gap.mean() > 1.96 * gap.std() / np.sqrt(len(gap)):
            about["warning"] = (
                "on held-out gold labels it does worse than naive scaled on the same labels "
                f"(Brier {brier['anchored'].mean():.3f} against {brier['naive'].mean():.3f})"
            )
    return about
