"""Charts of one model for notebooks, drawn with Altair (the extra `report`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError
from trueward.data.feedback import Feedback
from trueward.data.log import Log
from trueward.evaluation.evaluate import evaluate
from trueward.evaluation.plotting import histogram, intervals, lines, odds_ratio_curves
from trueward.evaluation.sensitivity import sensitivity
from trueward.features.given import feedback_of, labelled_of

from .quality_sections import FEWEST, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Labelled
    from trueward.data.truth import Test
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]

BINS = 24  # of a histogram of scores
DRAWN = ("auroc", "pair_accuracy", "r2", "brier")  # metrics of a chart


@dataclass(frozen=True)
class Plots:
    """Charts of a model, as ``model.plot``; a notebook shows each, and ``.save(file)`` writes it.

    Attributes
    ----------
    model : RewardModel
        The fitted model.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> x = torch.linspace(-1, 1, 100)[:, None]
    >>> r = (x[:, 0] > 0).float()
    >>> log = tw.Feedback(x, r, torch.ones(100), group=torch.arange(100) // 2)
    >>> model = tw.fit("naive", *log.split(0.2), epochs=1)
    >>> type(model.plot.scores(log)).__name__
    'LayerChart'

    """

    model: RewardModel

    def calibration(self, data: Labelled | Test | Feedback | Log | object) -> Any:
        """Draw P(preferred) against the share of good responses, with 95 % intervals clustered by prompt.

        Parameters
        ----------
        data : Test, Labelled, Log, Feedback, path or table
            True labels, or a log with gold labels. Other tables are read by `read_test`.

        Returns
        -------
        altair.LayerChart

        Raises
        ------
        TruewardError
            If there are fewer than 40 labels, or the model identifies only an interval.

        """
        rows: Feedback | Labelled
        if isinstance(data, Log | Feedback):
            log = feedback_of(data, self.model.backbone, "plot.calibration")
            rows = log[log.audited]
            label, weight = rows.gold, rows.label_weight
        else:
            rows = labelled_of(data, self.model.backbone, "plot.calibration")
            label, weight = rows.r, rows.row_weight
        group, user = (None if v is None else v.cpu().numpy() for v in (rows.group, rows.user))
        units = clusters(len(rows.x), group=group, user=user)
        curve = (
            []
            if label is None or not len(label)
            else list(reliability(self._preferred(rows.x), _array(label), units, _array(weight)))
        )
        if not curve:
            found = 0 if label is None else len(label)
            raise TruewardError(
                f"a calibration curve needs {2 * FEWEST} labels, and found {found}: give a test, or a log "
                "with more gold labels"
            )
        points = [
            {
                "P(preferred)": p,
                "share that is good": y,
                "low": low,
                "high": high,
                "series": "model",
            }
            for p, y, low, high in curve
        ]
        return lines(points, "P(preferred)", "share that is good", diagonal=True, unit=True)

    def scores(self, log: Feedback | Log | object) -> Any:
        """Draw the distribution of P(preferred), by feedback.

        Parameters
        ----------
        log : Feedback, Log, path or table
            A log; texts are encoded with the model's backbone.

        Returns
        -------
        altair.LayerChart

        Raises
        ------
        TruewardError
            If the model identifies only an interval.

        """
        rows = feedback_of(log, self.model.backbone, "plot.scores")
        p, y = self._preferred(rows.x), _array(rows.y)
        seen = y > 0 if rows.o is None else _array(rows.o) > 0
        parts = {
            "rated good": seen & (y > 0.5),
            "rated bad": seen & (y <= 0.5),
            "no feedback": ~seen,
        }
        bins = []
        for part, chosen in parts.items():
            if not chosen.any():
                continue
            count, edges = np.histogram(p[chosen], bins=BINS, range=(0.0, 1.0))
            bins += [
                {"start": start, "end": end, "share": c / chosen.sum(), "series": part}
                for (start, end), c in zip(pairwise(edges.tolist()), count.tolist(), strict=True)
            ]
        return histogram(bins, "P(preferred)", "share of the responses")

    def sensitivity(self, log: Feedback | Log | object, *, seed: int = 0) -> Any:
        """Draw mean P(preferred) along the odds ratio of reacting, see `trueward.sensitivity`.

        Parameters
        ----------
        log : Feedback, Log, path or table
            A log; texts are encoded with the model's backbone.
        seed : int, default 0
            Seed of the folds.

        Returns
        -------
        altair.LayerChart

        Raises
        ------
        TruewardError
            If the log has clicks only, or the model identifies only an interval.

        """
        result = sensitivity(self.model, log, seed=seed)
        if not result.odds:
            raise TruewardError(
                "a curve along the odds ratio of reacting needs negative ratings, and this log has clicks "
                "only: see sensitivity(model, log)"
            )
        return odds_ratio_curves([("mean P(preferred)", result)])

    def metrics(self, test: Labelled | Test | object, *, seed: int = 0) -> Any:
        """Draw the main metrics on true labels with their 95 % intervals, see `trueward.evaluate`.

        Parameters
        ----------
        test : Test, Labelled, path or table
            True labels.
        seed : int, default 0
            Seed of the intervals.

        Returns
        -------
        altair.LayerChart

        Raises
        ------
        TruewardError
            If no metric has an interval, or the model identifies only an interval of P(preferred).

        """
        result = evaluate(self.model, test, seed=seed)
        rows = [
            {"name": name.replace("_", " "), "value": e.value, "low": e.low, "high": e.high}
            for name in DRAWN
            if (e := result.get(name)) is not None and e.low is not None
        ]
        if not rows:
            raise TruewardError(f"none of {', '.join(DRAWN)} has an interval on this test")
        return intervals(rows, "value")

    def _preferred(self, x: Tensor) -> Array:
        scores = self.model.score_features(x)
        if scores.preferred is None:
            raise TruewardError(
                "a chart of scores needs one P(preferred) a row, and this model identifies only an interval"
            )
        return _array(scores.preferred)


def _array(t: Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)
