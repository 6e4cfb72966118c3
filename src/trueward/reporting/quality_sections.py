"""Sections on the quality of the models: metrics, calibration curves, mean scores by rating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.core.clustering import clusters
from trueward.evaluation.plotting import lines

from .charts import figure
from .metric_table import estimates, trained_on_truth
from .page import Prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.core.clustering import Clusters
    from trueward.data.feedback import Feedback, Labelled

    from .inputs import ReportInputs
    from .page import Block

    Array = NDArray[np.float64]

BINS = 10  # bins of a calibration curve, of equal numbers of responses
FEWEST = 20  # responses in a bin
LEVELS = 10  # largest number of ratings that are shown one by one
NAMES = ("mean P(preferred)", "low", "high")


def on_test(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the metrics on the clean test.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A sentence, a table of metrics and a figure of some of them.

    Raises
    ------
    TruewardError
        If there is no clean test, or a model cannot read text.

    """
    metrics = {name: inputs.metrics(name) for name in inputs.models}
    one = next(iter(metrics.values()))
    yield Prose(
        f"On {one.rows:,} clean responses to {one.prompts:,} prompts, with 95 % intervals over prompts."
    )
    yield from estimates(metrics, "Metrics on the clean test", trained_on_truth(inputs))


def on_gold(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the audit on the log: metrics from a few gold labels and everything in the log.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A sentence, a table, a figure, and the warnings of each audit.

    Raises
    ------
    TruewardError
        If there is no log, or a model cannot read text.

    """
    audits = {name: inputs.audit(name) for name in inputs.models}
    one = next(iter(audits.values()))
    yield Prose(
        f"{one.gold:,} of {one.rows:,} logged responses have a gold label. A prediction from the log stands "
        "in for the other labels, and the gold labels correct its mean: the estimates are unbiased even if "
        "the prediction is poor."
    )
    yield from estimates(audits, "Metrics on the logged responses", trained_on_truth(inputs))
    for name, audit in audits.items():
        yield from (Prose(f"{name}: {w}.") for w in audit.warnings)


def calibration(inputs: ReportInputs) -> Iterator[Block]:
    """Yield calibration curves: P(preferred) against the share of good responses.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A figure, or a sentence where there are too few labels.

    Raises
    ------
    TruewardError
        If a model identifies only an interval or cannot read text, or data are missing.

    """
    clean = inputs.test is not None and "label" in inputs.test.columns
    what = "clean labels" if clean else "gold labels"
    sets: dict[str, tuple[Tensor, Tensor | None, Clusters, Array | None]] = {}
    for name in inputs.models:
        if clean:
            truth = inputs.labelled(name)
            w = _array(truth.row_weight)
            sets[name] = inputs.preferred(name, "test"), truth.r, _units(truth), w
            continue
        data = inputs.data(name)
        rows, p = data[data.audited], inputs.preferred(name, "log")[data.audited]
        sets[name] = p, rows.gold, _units(rows), rows.label_weight.cpu().numpy()
    points = [
        {"P(preferred)": p, "share that is good": y, "low": low, "high": high, "series": name}
        for name, (score, label, units, w) in sets.items()
        if label is not None
        for p, y, low, high in reliability(_array(score), _array(label), units, w)
    ]
    if not points:
        yield Prose(f"Too few {what} for a calibration curve: it needs {2 * FEWEST}.")
        return
    yield figure(
        lines,
        points,
        "P(preferred)",
        "share that is good",
        diagonal=True,
        unit=True,
        caption=f"Calibration on {what}: on the dashed line P(preferred) is the share of good responses; "
        "bars are 95 % intervals",
    )


def reliability(
    p: Array, y: Array, units: Clusters, weight: Array | None = None
) -> Iterator[tuple[float, float, float, float]]:
    """Compute a calibration curve with 95 % intervals, in bins of equal numbers of labels.

    Parameters
    ----------
    p, y : (n,) array
        P(preferred); labels in [0, 1], NaN where there is none.
    units : Clusters
        Prompt and user of every row.
    weight : (n,) array, optional
        What each row represents; 1 by default.

    Yields
    ------
    tuple of float
        Means of p and y and the ends of `clustered_wilson` of every bin; nothing below 40 labels.

    """
    known, w = ~np.isnan(y), np.ones(len(y)) if weight is None else weight
    p, y, units, w = p[known], y[known], units.rows(known), w[known]
    count = min(BINS, len(p) // FEWEST)
    if count < 2:
        return
    for rows in np.array_split(np.argsort(p, kind="stable"), count):
        at = float(np.average(p[rows], weights=w[rows]))
        yield (at, *clustered_wilson(y[rows], units.rows(rows), w[rows]))


def clustered_wilson(
    y: Array, units: Clusters, weight: Array | None = None
) -> tuple[float, float, float]:
    """Compute a mean with Wilson's 95 % interval; its n is y (1 - y) / V + 1, V the clustered variance.

    Parameters
    ----------
    y : (n,) array
        Values in [0, 1].
    units : Clusters
        Prompt and user of every row.
    weight : (n,) array, optional
        What each row represents; 1 by default.

    Returns
    -------
    mean, low, high : float
        Mean of y and the ends of its interval.

    """
    w = np.ones(len(y)) if weight is None else weight
    m = float(np.average(y, weights=w))
    square = float(units.variance(w * (y - m) / w.sum(), w))
    z = 1.96**2 / (min(len(y), m * (1 - m) / square + 1) if square else len(y))
    middle, half = (m + z / 2) / (1 + z), np.sqrt(z * (m * (1 - m) + z / 4)) / (1 + z)
    return m, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def recovered(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the mean P(preferred) at every rating of the test.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A figure, where the test has ratings.

    Raises
    ------
    TruewardError
        If there is no clean test, or a model identifies only an interval or cannot read text.

    """
    points = []
    for name in inputs.models:
        truth = inputs.labelled(name)
        if truth.rating is None:
            continue
        p, quality = _array(inputs.preferred(name, "test")), _array(truth.rating)
        units, w = _units(truth), _array(truth.row_weight)
        for at, rows in levels(quality):
            found = clustered_wilson(p[rows], units.rows(rows), w[rows])
            points.append({"rating": at, **dict(zip(NAMES, found, strict=True)), "series": name})
    if points:
        yield figure(
            lines,
            points,
            "rating",
            "mean P(preferred)",
            caption="Mean P(preferred) at every rating of the clean test, with 95 % intervals",
        )


def levels(quality: Array) -> Iterator[tuple[float, NDArray[np.int64]]]:
    """Group rows by rating; with more than 10 ratings, by tenths of the rows.

    Parameters
    ----------
    quality : (n,) array
        Ratings, NaN where there is none.

    Yields
    ------
    rating : float
        The rating, or the mean rating of the tenth.
    rows : array of int
        Row numbers.

    """
    known = np.flatnonzero(~np.isnan(quality))
    values = np.unique(quality[known])
    if len(values) <= LEVELS:
        for v in values:
            yield float(v), np.flatnonzero(quality == v)
        return
    for rows in np.array_split(known[np.argsort(quality[known], kind="stable")], LEVELS):
        yield float(quality[rows].mean()), rows


def _array(t: Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)


def _units(data: Feedback | Labelled) -> Clusters:
    """Prompt and user of the rows, where they are known."""
    group, user = (None if v is None else v.cpu().numpy() for v in (data.group, data.user))
    return clusters(len(data.x), group=group, user=user)
