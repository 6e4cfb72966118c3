"""P(preferred) as gold labels have it, and decisions that are wrong no oftener than was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, xlogy

from trueward.core.errors import UsageError
from trueward.core.random import stream_seed
from trueward.data.feedback import fold_of, prompt_numbers
from trueward.estimation.gold_regression import enough
from trueward.estimation.nuisances import platt

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]

NEAR = 1e-6  # P is kept so far from 0 and 1
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Calibration:
    """P -> P as gold labels have it.

    kind  none: P;  platt: sigmoid(a logit P + b);  beta: sigmoid(a log P - c log(1 - P) + b), a, c >= 0
    (Kull, Silva Filho and Flach, AISTATS 2017);  isotonic: through knots (2, k). ``misfit``: 1 - P(label) of
    the gold rows, sorted, each by a fit on other prompts. ``mass``: (n + 1,) their weights summed up, the
    weight of a new response last; without it every one counts as 1.
    """

    kind: str
    numbers: Tensor
    misfit: Tensor
    mass: Tensor | None = None

    def __call__(self, p: Tensor) -> Tensor:
        """Map probabilities of any shape."""
        found = MAPS[self.kind](
            p.double().clamp(NEAR, 1 - NEAR).numpy(), self.numbers.double().numpy()
        )
        return torch.from_numpy(np.asarray(found)).clamp(NEAR, 1 - NEAR)

    def decided(self, p: Tensor, level: float) -> Tensor:
        """(n,) 1 good, 0 bad, -1 where both could be: calibrated P against the conformal quantile.

        A label belongs to the set where 1 - P(label) is at most the ceil((n + 1) level)-th misfit; the set
        has the label of a new response with chance ``level`` or more, if that is drawn as the gold rows were
        (Vovk, Gammerman and Shafer 2005). With weights it is the first misfit at which they come to
        ``level`` of all, the new response's own among them (Tibshirani, Barber, Candes and Ramdas, 2019).
        """
        n = len(self.misfit)
        mass = torch.arange(1.0, n + 2, dtype=torch.float64) if self.mass is None else self.mass
        place = int((mass[:n] < known_level(level) * mass[n]).sum())
        most = float(self.misfit[place]) if place < n else 1.0
        good, bad = 1 - p.double() <= most, p.double() <= most
        return torch.where(good & ~bad, 1, torch.where(bad & ~good, 0, -1))

    @staticmethod
    def of(
        p: Tensor,
        label: Tensor,
        group: Tensor | None,
        seed: int,
        weight: Tensor | None = None,
        own: float = 1.0,
    ) -> tuple[Calibration, dict[str, Any]]:
        """Choose the kind by log-loss on held-out gold prompts; give also what each came to.

        weight: (n,) how many responses each row stands for; ``own``: how many a new one does, on average.
        """
        q, y = p.double().clamp(NEAR, 1 - NEAR).numpy(), label.double().numpy()
        w = np.ones(len(y)) if weight is None else weight.double().numpy()
        enough(y)
        ids = prompt_numbers(len(y), group)
        k = min(FOLDS, int(ids.max()) + 1)
        fold = fold_of(len(y), k, stream_seed(seed, "calibration"), ids).numpy()
        held = {kind: _held_out(kind, q, y, w, fold) for kind in FITS}
        loss = {kind: -xlogy(y, v) - xlogy(1 - y, 1 - v) for kind, v in held.items()}
        kind = _chosen(loss, w)
        misfit = np.abs(y - held[kind])
        order = np.argsort(misfit, kind="stable")
        mass = None if weight is None else torch.from_numpy(np.cumsum(np.r_[w[order], own]))
        numbers = torch.from_numpy(np.asarray(FITS[kind](q, y, w), dtype=np.float64))
        report = {"kind": kind, "gold": len(y)} | {
            "log_loss": {k: round(float(np.average(v, weights=w)), 4) for k, v in loss.items()}
        }
        return Calibration(kind, numbers, torch.from_numpy(misfit[order]), mass), report


def known_level(level: float) -> float:
    """A confidence that can be asked for."""
    if not 0.5 <= level < 1:
        raise UsageError(f"a confidence lies between 0.5 and 1, and is {level:g}")
    return level


def _held_out(kind: str, q: Array, y: Array, w: Array, fold: NDArray[np.int64]) -> Array:
    found = np.empty(len(y))
    for k in np.unique(fold):
        there, here = fold != k, fold == k
        one_class = len(np.unique(y[there] > 0.5)) < 2
        found[here] = (
            q[here] if one_class else MAPS[kind](q[here], FITS[kind](q[there], y[there], w[there]))
        )
    return found.clip(NEAR, 1 - NEAR)


def _chosen(loss: dict[str, Array], w: Array) -> str:
    """The first kind whose loss is within a standard error of the best one's."""
    best = min(loss.values(), key=lambda v: float(np.average(v, weights=w)))
    for kind, v in loss.items():
        gap = v - best
        mean = float(np.average(gap, weights=w))
        if mean <= np.sqrt(np.square(w * (gap - mean)).sum()) / w.sum():
            return kind
    raise AssertionError(loss)


def _fit_platt(q: Array, y: Array, w: Array) -> Array:
    logit = torch.logit(torch.from_numpy(q))
    return np.array(platt(logit, torch.from_numpy(y), torch.from_numpy(w)))


def _fit_beta(q: Array, y: Array, weight: Array) -> Array:
    a = np.stack([np.log(q), -np.log1p(-q), np.ones(len(q))], 1)

    def risk(w: Array) -> tuple[float, Array]:
        v = a @ w
        pull = w - [1, 1, 0]  # a ridge of one observation
        value = np.average(np.logaddexp(0, v) - y * v, weights=weight) + 0.5 * pull @ pull / len(y)
        return float(value), a.T @ (weight * (expit(v) - y)) / weight.sum() + pull / len(y)

    bounds = [(0, None), (0, None), (None, None)]
    return np.asarray(minimize(risk, [1.0, 1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B").x)


def _fit_isotonic(q: Array, y: Array, w: Array) -> Array:
    """Knots, the values drawn towards the mean of all by one observation's worth."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - slow to import

    n = len(y)
    found = IsotonicRegression(out_of_bounds="clip").fit(q, y, sample_weight=w)
    values = (found.y_thresholds_ * n + np.average(y, weights=w)) / (n + 1)
    return np.stack([found.X_thresholds_, values])


# simplest first
FITS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "none": lambda _q, _y, _w: np.zeros(0),
    "platt": _fit_platt,
    "beta": _fit_beta,
    "isotonic": _fit_isotonic,
}
MAPS: dict[str, Callable[[Array, Array], Array]] = {
    "none": lambda q, _w: q,
    "platt": lambda q, w: np.asarray(expit(w[0] * (np.log(q) - np.log1p(-q)) + w[1])),
    "beta": lambda q, w: np.asarray(expit(w[0] * np.log(q) - w[1] * np.log1p(-q) + w[2])),
    "isotonic": lambda q, w: np.asarray(np.interp(q, w[0], w[1])),
}
