"""Join the answers of a judge to a log, as evidence beside gold labels and never in place of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.arguments import MAPPING, require_kinds
from trueward.core.errors import TruewardError
from trueward.data.log_columns import log_order
from trueward.data.log_reading import as_log
from trueward.data.readers import (
    match_columns,
    missing_columns_error,
    read_table,
    typed_frame,
    wanted_columns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.data.log import Log

COLUMN = "context.judge"
MISSING = "context.judge_missing"


def with_judge(
    log: Log | object, source: object, *, mapping: Mapping[str, str] | None = None
) -> Log:
    """Return the log with the answers of a judge as context, which `audit` predicts gold labels from.

    The audit is prediction-powered: it fits P(good given judge, score, feedback, features) on the gold
    labels, out of fold, so the estimates are unbiased however wrong the judge is; a good judge narrows the
    intervals.

    Parameters
    ----------
    log : Log, path or table
        A log with gold labels.
    source : str, Path or table
        ``prompt``, ``response`` and ``judge``, a number such as 1 (good) and 0 (bad), or null.
    mapping : mapping of str to str or None
        Canonical name -> column of the source; ``context.judge`` stands for ``judge``.

    Returns
    -------
    Log
        With ``context.judge``; rows without an answer have the mean, and ``context.judge_missing`` 1.

    Raises
    ------
    TruewardError
        If a column is missing, no row matches, or two answers about one response differ.

    Examples
    --------
    >>> import trueward as tw
    >>> texts = {"prompt": ["a", "b"], "response": ["c", "d"]}
    >>> log = tw.read_log(pl.DataFrame({**texts, "feedback": [1, 0]}))
    >>> with_judge(log, pl.DataFrame({**texts, "judge": [1.0, 0.0]})).frame["context.judge"].to_list()
    [1.0, 0.0]

    """
    require_kinds("with_judge", mapping=(mapping, MAPPING.or_none))
    log = as_log(log, "with_judge")
    named = {COLUMN: "judge", **(mapping or {})}
    wanted = wanted_columns(("prompt", "response"), ("context",), named)
    table = read_table(source, wanted, None)
    if named[COLUMN] not in table.names:
        raise missing_columns_error(table.source, ["judge"], table.names)
    names = match_columns(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise missing_columns_error(table.source, missing, table.names)
    rows = typed_frame(
        table, {k: v for k, v in names.items() if k in ("prompt", "response", COLUMN)}
    )
    if COLUMN not in rows.columns or not rows[COLUMN].dtype.is_numeric():
        raise TruewardError(
            f"{table.source} should have a number in `judge`, such as 1 (good) or 0 (bad), and has none: run "
            "trueward label --judge, or map another column"
        )
    answers = (
        rows.drop_nulls(COLUMN)
        .group_by("prompt", "response")
        .agg(pl.col(COLUMN).first(), pl.col(COLUMN).n_unique().alias("values"))
    )
    if (answers["values"] > 1).any():
        raise TruewardError(
            f"{table.source} has two answers of the judge about one response: keep one of them"
        )
    frame = log.frame.drop(COLUMN, MISSING, strict=False).with_row_index("row")
    joined = frame.join(answers.drop("values"), on=["prompt", "response"], how="left").sort("row")
    known = joined[COLUMN].is_not_null()
    if not known.any():
        raise TruewardError(
            f"none of the {rows.height} responses in {table.source} is a row of {log.source}: judge the "
            "responses of this log"
        )
    joined = joined.drop("row").with_columns(pl.col(COLUMN).fill_null(pl.col(COLUMN).mean()))
    if not known.all():
        joined = joined.with_columns((~known).cast(pl.Float64).alias(MISSING))
    return replace(log, frame=joined.select(log_order(joined.columns)))
