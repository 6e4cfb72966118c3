"""Label shift: with selection by the label alone, outcome probabilities lie on a segment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import chdtrc, chdtri, expit

from trueward.core.weighted import effective_size

from .asked_nuisances import asked_ends
from .mixture_segment import Segment
from .nuisance_types import Computed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

TOP = 0.995  # quantile of the predictions taken as certainly good, where the rates do not fit
ROUNDING = 1e-10  # relative spread of predictions below which there is no direction
LEVEL = 0.001  # p-value below which the segment is rejected
EDGE = 0.001  # distance of a share from 0 and 1 within which it is at its bound
BEYOND = 0.1  # share of the responses beyond the ends that is worth a warning


@dataclass(frozen=True)
class Line:
    """The direction in which outcome probabilities vary with the features, and the test for a second.

    Attributes
    ----------
    mean : ndarray, shape (2,)
        Mean of (P(up), P(down)).
    direction : ndarray, shape (2,)
        Direction of variation, towards good answers: P(up) grows relative to P(down).
    first, second : float
        n rho^2 / (1 - rho^2) of the two canonical correlations rho with the features. If the probabilities
        lie on a line, ``second`` is chi-squared with 1 degree of freedom.

    """

    mean: Array
    direction: Array
    first: float
    second: float

    @staticmethod
    def of(outcome: Array, predicted: Array, weight: Array) -> Line:
        """Fit by reduced-rank regression of outcomes on their out-of-fold predictions.

        Parameters
        ----------
        outcome, predicted : ndarray, shape (n, 2)
            Indicators of a thumb up and a thumb down, and their predicted probabilities.
        weight : ndarray, shape (n,)
            Weight of every row.

        Returns
        -------
        Line

        References
        ----------
        Anderson, Annals of Mathematical Statistics, 1951.

        """
        w = weight / weight.sum()
        mean = w @ outcome
        y, h = outcome - mean, predicted - w @ predicted
        between, own, spread = (y.T * w) @ h, (y.T * w) @ y, (h.T * w) @ h
        explained = between @ np.linalg.pinv(spread, ROUNDING, hermitian=True) @ between.T
        share, axes = eigh(explained, own + 1e-12 * np.eye(2))
        size = effective_size(weight)
        second, first = (float(size * s / max(1 - s, 1e-12)) for s in share.clip(0, 1))
        direction = own @ axes[:, 1]
        return Line(mean, direction * np.sign(direction[0] - direction[1]), first, second)

    def segment(self, rho_01: float, rho_10: float, predicted: Array) -> tuple[Segment, str]:
        """Cut the line where an answer is certainly good and where it is certainly bad.

        A good answer has P(down) / P(up) = rho_01 / (1 - rho_01), a bad one P(up) / P(down) = rho_10 /
        (1 - rho_10). If the line reaches P(feedback) = 1 before the good point, the rates do not fit, and the
        good end is the top of the predictions: some answers are then taken as certainly good.

        Parameters
        ----------
        rho_01, rho_10 : float
            Noise rates.
        predicted : ndarray, shape (n, 2)
            Predicted (P(up), P(down)).

        Returns
        -------
        segment : Segment
        source : str
            What determined the good end: "rates" or "the top of the log".

        """
        y, d = self.mean, self.direction / np.linalg.norm(self.direction)
        rates = [
            ((1 - rho_01) * y[1] - rho_01 * y[0], (1 - rho_01) * d[1] - rho_01 * d[0]),
            ((1 - rho_10) * y[0] - rho_10 * y[1], (1 - rho_10) * d[0] - rho_10 * d[1]),
        ]
        walls = [(y[0], d[0]), (y[1], d[1]), (1 - y.sum(), -d.sum())]
        # each constraint is value + t slope >= 0; one that the mean violates is dropped: the rate is too high
        cuts = [(-value / slope, slope) for value, slope in rates + walls if value > 0 and slope]
        low = max((t for t, slope in cuts if slope > 0), default=0.0)
        high, source = min((t for t, slope in cuts if slope < 0), default=0.0), "rates"
        if high == -walls[2][0] / walls[2][1]:
            place = np.quantile((predicted - y) @ d, TOP)
            high, source = min(high, max(float(place), 1e-6)), "the top of the log"
        return Segment(y + low * d, y + high * d), source


def placement(rho_01: float, rho_10: float, column: str, *, asks: bool = False) -> Computed:
    """Return the nuisance gamma(x) = P(good given x), if feedback depends on the label alone (methods 4.1).

    (P(up), P(down)) given x = gamma G + (1 - gamma) B for two points G and B. Their line is the first
    canonical direction of the outcomes on their out-of-fold predictions, which noise in these does not bias;
    the given noise rates cut it. If the second canonical correlation is not 0 either (p < .001), selection
    follows something else in x, and gamma = (P(up given rated) - rho_10) / (1 - rho_01 - rho_10), as if
    feedback were missing at random given x.

    Parameters
    ----------
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).
    column : str
        Column of ``eta`` that gets gamma.
    asks : bool
        Whether a lottery of asks gives the ends of the segment where the log has one, see `asked_ends`.

    Returns
    -------
    Computed
        Called ``label_shift``. It reads ``eta.noisy`` and ``eta.responds``.

    """

    def fit(train: Feedback, val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        seen, up = (v.double().cpu().numpy() for v in (train.seen, train.seen * train.y))
        weight = train.row_weight.cpu().numpy()
        predicted = np.stack(_chances(train), 1)
        line = Line.of(np.stack([up, seen - up], 1), predicted, weight)
        segment, source = line.segment(rho_01, rho_10, predicted)
        p = float(chdtrc(1, line.second))
        report: dict[str, Any] = {
            "m_1": round(float(segment.good.sum()), 4),
            "m_0": round(float(segment.bad.sum()), 4),
            "strength": round(line.first, 2),
            "test": {"chi_squared": round(line.second, 2), "p": p},
            "selection": "label" if p >= LEVEL else "at random given x",
            "scale": source,
        }
        drawn = asked_ends([train, val], rho_01, rho_10) if asks and p >= LEVEL else None
        if drawn is not None:
            m_0, m_1 = (round(float(v), 4) for v in drawn.sum(1))
            return {"ends": drawn}, report | {"m_1": m_1, "m_0": m_0, "scale": "asks"}
        if p >= LEVEL and (found := _at_ends(segment, source, predicted, weight)):
            report["warning"] = "; ".join(found)
        if p < LEVEL:
            # (P(up), P(down)) of a bad and of a good answer where everybody rates
            flips = [[rho_10, 1 - rho_10], [1 - rho_01, rho_01]]
            return {"flips": torch.tensor(flips, dtype=torch.float64)}, report
        return {"ends": torch.from_numpy(np.stack([segment.bad, segment.good]))}, report

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        (ends,) = parameters.values()
        q = b.eta.noisy.double().cpu().numpy()
        chances = _chances(b) if "ends" in parameters else (q, 1 - q)
        place = Segment(*ends.double().cpu().numpy()).place(*chances)
        return {column: torch.from_numpy(expit(place)).to(b.y)}

    return Computed("label_shift", (column,), fit, apply)


def _at_ends(segment: Segment, source: str, predicted: Array, weight: Array) -> list[str]:
    """Warn of a segment whose end is a bound, and of many rows beyond its ends."""
    found = []
    if source != "rates":
        found.append(
            "the noise rates do not fit the ratings: some answers would have feedback with a probability "
            f"above 1, so the best {1 - TOP:.1%} of the log are taken as certainly good"
        )
    m_1, m_0 = float(segment.good.sum()), float(segment.bad.sum())
    for name, what, m in (("m_1", "good", m_1), ("m_0", "bad", m_0)):
        if not EDGE < m < 1 - EDGE:
            found.append(
                f"{name}, the share of {what} answers with feedback, is at its bound: {m:.2f}"
            )
    d = segment.good - segment.bad
    place = (predicted - segment.bad) @ d / max(float(d @ d), 1e-12)
    beyond = float(np.average((place < 0) | (place > 1), weights=weight))
    if beyond > BEYOND:
        found.append(
            f"{beyond:.0%} of the responses are beyond the ends of the segment, where P(good) is 0 or 1 and "
            "only their order is kept"
        )
    return found


def label_shift(rho_01: float, rho_10: float) -> Computed:
    """Return `placement` as the target of a reward, with warnings.

    The report warns whether or not the test rejects the segment, because not rejecting is no evidence for it,
    and if the features do not predict the feedback.

    Parameters
    ----------
    rho_01, rho_10 : float
        P(observed 0 given true 1) and P(observed 1 given true 0).

    Returns
    -------
    Computed
        Column ``target``.

    """
    placed = placement(rho_01, rho_10, "target")

    def fit(train: Feedback, val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        parameters, report = placed.fit(train, val, seed)
        test = report["test"]
        if test["p"] < LEVEL:
            report["warning"] = (
                "who reacts depends on more than how good the answer is (rank test: chi-squared "
                f"{test['chi_squared']:.0f}, p = {test['p']:.1g}), so feedback is taken as missing at "
                "random; gold labels would identify more (anchored)"
            )
            return parameters, report
        warnings = [
            (
                f"the rank test does not reject selection by the label (p = {test['p']:.2g}), which is no "
                "evidence for it: form=averaged weighs other models of who reacts"
            )
        ]
        if report["strength"] < chdtri(2, LEVEL):
            warnings.append(
                "the features hardly predict the feedback, so good and bad answers are not separated"
            )
        warnings += [report["warning"]] if "warning" in report else []
        return parameters, report | {"warning": "; ".join(warnings)}

    return replace(placed, fit=fit)


def _chances(b: Feedback) -> tuple[Array, Array]:
    """Return P(up) and P(down) given x, out of fold."""
    q, p = (v.double().cpu().numpy() for v in (b.eta.noisy, b.eta.responds))
    return q * p, (1 - q) * p
