"""Good, bad or no feedback: three outcomes whose chances lie on a segment where only the label decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import chdtrc, chdtri, expit

from .mixture_segment import Segment
from .nuisance_types import Computed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

TOP = 0.995  # quantile of the predictions that is certainly good, where nothing else says
ROUNDING = 1e-10  # of the spread of predictions: less is no direction
LEVEL = 0.001  # p-value below which the log is taken to deny the segment


@dataclass(frozen=True)
class Line:
    """The one direction in which outcomes vary with the features, and the test that there is no second."""

    mean: Array  # (P(up), P(down))
    direction: Array  # towards good: a thumb up gains on a thumb down
    first: float  # n rho^2 / (1 - rho^2) of the two canonical correlations with the features
    second: float  # chi-squared with 1 degree of freedom where the outcomes lie on a line

    @staticmethod
    def of(outcome: Array, predicted: Array, weight: Array) -> Line:
        """Reduced-rank regression of (n, 2) outcomes on their (n, 2) out-of-fold predictions."""
        w = weight / weight.sum()
        mean = w @ outcome
        y, h = outcome - mean, predicted - w @ predicted
        between, own, spread = (y.T * w) @ h, (y.T * w) @ y, (h.T * w) @ h
        explained = between @ np.linalg.pinv(spread, ROUNDING, hermitian=True) @ between.T
        share, axes = eigh(explained, own + 1e-12 * np.eye(2))
        size = weight.sum() ** 2 / np.square(weight).sum()
        second, first = (float(size * s / max(1 - s, 1e-12)) for s in share.clip(0, 1))
        direction = own @ axes[:, 1]
        return Line(mean, direction * np.sign(direction[0] - direction[1]), first, second)

    def segment(self, rho_01: float, rho_10: float, predicted: Array) -> tuple[Segment, str]:
        """Cut the line where an answer is certainly good, and certainly bad; say what cut the good end.

        A good one has down / up = rho_01 / (1 - rho_01), a bad one up / down = rho_10 / (1 - rho_10). Where
        everybody would react before the line comes to the first, the rates do not fit it, and it ends at
        the top of the (n, 2) predictions: some answers are taken to be certainly good.
        """
        y, d = self.mean, self.direction / np.linalg.norm(self.direction)
        rates = [
            ((1 - rho_01) * y[1] - rho_01 * y[0], (1 - rho_01) * d[1] - rho_01 * d[0]),
            ((1 - rho_10) * y[0] - rho_10 * y[1], (1 - rho_10) * d[0] - rho_10 * d[1]),
        ]
        walls = [(y[0], d[0]), (y[1], d[1]), (1 - y.sum(), -d.sum())]
        # each is value + t slope >= 0; a rate that the mean itself breaks is more noise than the log has
        cuts = [(-value / slope, slope) for value, slope in rates + walls if value > 0 and slope]
        low = max((t for t, slope in cuts if slope > 0), default=0.0)
        high, by = min((t for t, slope in cuts if slope < 0), default=0.0), "rates"
        if high == -walls[2][0] / walls[2][1]:
            place = np.quantile((predicted - y) @ d, TOP)
            high, by = min(high, max(float(place), 1e-6)), "the top of the log"
        return Segment(y + low * d, y + high * d), by


def placement(rho_01: float, rho_10: float, column: str) -> Computed:
    """gamma(x) by algebra from a three-class model, where feedback depends on the label alone (methods 4.1).

    (P(up), P(down)) given x = gamma G + (1 - gamma) B for two points G and B. Their line is the first
    canonical direction of the outcomes on their out-of-fold predictions, which noise in these does not
    bend; the given rates cut it. Where the second canonical correlation is not 0 either (p < .001), selection
    follows something else in x: then gamma is (P(up given rated) - rho_10) / (1 - rho_01 - rho_10), as if
    feedback were missing at random given x.
    """
    # (P(up), P(down)) of a bad and of a good answer where everybody rates
    flips = torch.tensor([[rho_10, 1 - rho_10], [1 - rho_01, rho_01]], dtype=torch.float64)

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        seen, up = (v.double().cpu().numpy() for v in (train.seen, train.seen * train.y))
        weight = np.ones(len(up)) if train.weight is None else train.weight.double().cpu().numpy()
        predicted = np.stack(_chances(train), 1)
        line = Line.of(np.stack([up, seen - up], 1), predicted, weight)
        segment, scale = line.segment(rho_01, rho_10, predicted)
        p = float(chdtrc(1, line.second))
        report: dict[str, Any] = {
            "m_1": round(float(segment.good.sum()), 4),
            "m_0": round(float(segment.bad.sum()), 4),
            "strength": round(line.first, 2),
            "test": {"chi_squared": round(line.second, 2), "p": p},
            "selection": "label" if p >= LEVEL else "at random given x",
            "scale": scale,
        }
        if p < LEVEL:
            return {"flips": flips}, report
        return {"ends": torch.from_numpy(np.stack([segment.bad, segment.good]))}, report

    def apply(at: Parameters, b: Feedback) -> dict[str, Tensor]:
        (ends,) = at.values()
        q = b.eta.noisy.double().cpu().numpy()
        chances = _chances(b) if "ends" in at else (q, 1 - q)
        place = Segment(*ends.double().cpu().numpy()).place(*chances)
        return {column: torch.from_numpy(expit(place)).to(b.y)}

    return Computed("label_shift", (column,), fit, apply)


def label_shift(rho_01: float, rho_10: float) -> Computed:
    """`placement` as the target of a reward: its report warns where the log denies it, or says nothing."""
    placed = placement(rho_01, rho_10, "target")

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        at, report = placed.fit(train, val, seed)
        test = report["test"]
        if test["p"] < LEVEL:
            report["warning"] = (
                "who reacts depends on more than how good the answer is (rank test: chi-squared "
                f"{test['chi_squared']:.0f}, p = {test['p']:.1g}), so "
                "missing feedback is taken to say nothing; gold labels would tell more (anchored)"
            )
        elif report["strength"] < chdtri(2, LEVEL):
            report["warning"] = (
                "the features hardly predict the feedback, so the answers are not told apart"
            )
        return at, report

    return replace(placed, fit=fit)


def _chances(b: Feedback) -> tuple[Array, Array]:
    """P(up) and P(down) given x, out of fold."""
    q, p = (v.double().cpu().numpy() for v in (b.eta.noisy, b.eta.responds))
    return q * p, (1 - q) * p
