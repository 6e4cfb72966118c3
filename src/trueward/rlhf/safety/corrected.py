"""Judges corrected by a few labels of people: prediction-powered estimates of a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError
from trueward.core.estimate import Estimate
from trueward.core.intervals import student_interval
from trueward.data.readers import (
    match_columns,
    read_table,
    typed_frame,
    wanted_columns,
)
from trueward.evaluation.audit import gold_probability
from trueward.evaluation.prediction_powered import AuditRows

from .suites import HARMFUL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .measures import Measure

    Array = NDArray[np.float64]

LOG_ODDS = 4.0  # a verdict of 1 is a log-odds of +2, of 0 of -2; one that could not be read is 0


def read_labels(source: object) -> pl.DataFrame:
    """Read labels of people about responses.

    Parameters
    ----------
    source : str, Path or table
        ``prompt``, ``response`` and ``label``: 1 or harmful, 0 or unharmful. A mean of several people is a
        number in between.

    Returns
    -------
    polars.DataFrame
        Each pair of texts once, with the mean of its labels.

    Raises
    ------
    TruewardError
        If a column is missing, or a label is no number in [0, 1] and none of these words.

    """
    names = ("prompt", "response", "label")
    wanted = wanted_columns(names, (), None)
    table = read_table(source, wanted, None)
    found = match_columns(wanted, table.names, table.source)
    missing = [name for name in names if name not in found]
    if missing:
        there = ", ".join(repr(name) for name in table.names[:12])
        raise TruewardError(
            f"{table.source} should have the columns prompt, response and label, and has {there}: rename them"
        )
    texts = typed_frame(table, {k: v for k, v in found.items() if k != "label"})
    labels = []
    for k, value in enumerate(table.columns[found["label"]]):
        number = HARMFUL.get(str(value).strip().lower(), value)
        try:
            label = float(number)
        except (TypeError, ValueError):
            label = -1.0
        if not 0 <= label <= 1:
            raise TruewardError(
                f"a label is 1 (harmful) or 0 (not), and {table.place(k)} has {str(value)[:40]!r}: correct "
                "or drop that row"
            )
        labels.append(label)
    frame = texts.with_columns(pl.Series("label", labels, dtype=pl.Float64))
    return frame.group_by("prompt", "response", maintain_order=True).agg(pl.col("label").mean())


def corrected(
    verdicts: list[pl.DataFrame], labels: pl.DataFrame, measure: Measure, seed: int = 0
) -> tuple[Estimate, int, float]:
    """Estimate a figure from labels of some responses and the verdicts of judges on all of them.

    theta = mean_N lambda g + mean_labelled (r - lambda g): unbiased however wrong the judges are, if the
    labelled responses are a random draw. g = P(label given the verdicts of all judges) is fitted on the
    labels of other prompts, and lambda minimises the variance.

    Parameters
    ----------
    verdicts : list of polars.DataFrame
        Of one policy by each judge, as of `measured`, with ``prompt`` and ``response``.
    labels : polars.DataFrame
        As `read_labels` returns it.
    measure : Measure
        The figure, of the field ``harmful``.
    seed : int
        Seed of the folds.

    Returns
    -------
    estimate, labelled, error : Estimate, int, float
        With its 95 % interval over prompts, the number of labelled responses, and the standard error.

    """
    first = verdicts[0].filter(
        (pl.col("suite") == measure.suite) & (pl.col("harmful") == measure.harmful)
    )
    column = f"value.{measure.field}"
    rows = first.select("id", "sample", "prompt", "response")
    columns = []
    for k, frame in enumerate(v for v in verdicts if column in v.columns):
        other = frame.select("id", "sample", pl.col(column).alias(f"judge{k}"))
        rows = rows.join(other, on=["id", "sample"], how="left", maintain_order="left")
        columns.append(f"judge{k}")
    rows = rows.join(labels, on=["prompt", "response"], how="left", maintain_order="left")
    gold = rows["label"].fill_null(float("nan")).to_numpy()
    known = int((~np.isnan(gold)).sum())
    if not known:
        return Estimate(None, reason="no response of this policy has a label"), 0, float("nan")
    gold = 1 - gold if measure.complement else gold
    said = rows.select(columns).fill_null(0.5).to_numpy().astype(np.float64)
    said = 1 - said if measure.complement else said
    group = np.unique(rows["id"].to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)
    evidence = (LOG_ODDS * (said - 0.5), np.zeros((len(said), 0)))
    try:
        g = gold_probability(evidence, gold, group, seed)
    except TruewardError as e:
        return Estimate(None, reason=str(e)), known, float("nan")
    draw = AuditRows(g, g, gold, g, group, future=True)
    estimate, _ = draw.estimate("good")
    return estimate, known, draw.deviation("good")[1]


def corrected_difference(
    own: tuple[Estimate, int, float], base: tuple[Estimate, int, float]
) -> Estimate:
    """Subtract two corrected figures, as if their errors were independent.

    Policies agree on prompts more than by chance, so the interval is rather too wide than too narrow.

    Parameters
    ----------
    own, base : tuple
        As `corrected` returns them.

    Returns
    -------
    Estimate
        The difference with its 95 % interval.

    """
    if own[0].value is None or base[0].value is None:
        return Estimate(None, reason=own[0].reason or base[0].reason)
    error = float(np.hypot(own[2], base[2]))
    degrees = max(min(own[1], base[1]) - 1, 1)
    return student_interval(own[0].value - base[0].value, error, degrees, "difference")
