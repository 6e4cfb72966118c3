"""Tests of a lottery: its rate, its independence of the responses, and the draws computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import chdtrc, ndtr

from trueward.core.errors import TruewardError

from .shipped.ask import ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_VALUES = 20  # most frequent values of a category that are compared


def contradictions(frame: pl.DataFrame) -> list[str]:
    """Return sentences about rows in which the columns of the lottery contradict each other.

    Parameters
    ----------
    frame : DataFrame
        A log with ``asked`` and ``p_ask``.

    Returns
    -------
    list of str
        Empty where there is none.

    Examples
    --------
    >>> contradictions(pl.DataFrame({"asked": [1.0, 0.0], "p_ask": [0.0, 0.5]}))
    ['asked is 1 where p_ask is 0, in 1 responses']

    """
    asked, p = pl.col("asked"), pl.col("p_ask")
    faults = {
        "asked is 1 where p_ask is 0": (asked == 1) & (p == 0),
        "asked is 0 where p_ask is 1": (asked == 0) & (p == 1),
        "asked is missing where p_ask is above 0": asked.is_null() & (p > 0),
    }
    for name, what in (("seen", "seen is 1"), ("ask_level", "ask_level is above 0")):
        if name in frame.columns:
            faults[f"{what} where asked is 0"] = (pl.col(name) > 0) & (asked == 0)
    found = {
        text: int(frame.select(fault.fill_null(value=False)).to_series().sum())
        for text, fault in faults.items()
    }
    return [f"{text}, in {count:,} responses" for text, count in found.items() if count]


def share_test(a: Array, p: Array) -> float | None:
    """Return the p-value of the share of asked responses, two-sided; None where p is 0 or 1 everywhere.

    Parameters
    ----------
    a, p : ndarray, shape (n,)
        ``asked`` and ``p_ask``.

    Returns
    -------
    float or None

    Examples
    --------
    >>> share_test(np.array([1.0, 0.0, 1.0, 0.0]), np.full(4, 0.5))
    1.0

    """
    variance = float((p * (1 - p)).sum())
    if not variance:
        return None
    return float(2 * ndtr(-max(abs(a.sum() - p.sum()) - 0.5, 0) / variance**0.5))


def users_test(user: NDArray[np.int64], a: Array, p: Array) -> float | None:
    """Return the p-value of asks that are spread over users as a lottery spreads them.

    With S_u = sum over the responses of user u of (a - p) and V_u its variance, z = sum_u (S_u^2 - V_u) /
    sqrt sum_u Var S_u^2 is large where some users are asked more often than others.

    Parameters
    ----------
    user : ndarray of int, shape (n,)
        Number of the user, from 0.
    a, p : ndarray, shape (n,)
        ``asked`` and ``p_ask``.

    Returns
    -------
    float or None
        One-sided; None where no user has two responses.

    Examples
    --------
    >>> user, half = np.repeat(np.arange(40), 10), np.repeat([1.0, 0.0], 200)
    >>> users_test(user, half, np.full(400, 0.5)) < 1e-9
    True

    """
    v = p * (1 - p)
    count = np.bincount(user)
    if not len(count) or count.max() < 2 or not v.sum():
        return None
    excess = np.square(np.bincount(user, a - p)) - np.bincount(user, v)
    variance = 2 * np.square(np.bincount(user, v)) + np.bincount(user, v * (1 - 6 * v))
    return float(ndtr(-excess.sum() / max(float(variance.sum()), 1e-12) ** 0.5))


def dependence_test(frame: pl.DataFrame, a: Array, p: Array) -> tuple[float, str] | None:
    """Return the p-value of the score test of asked on columns of a response, and the column of largest z.

    Parameters
    ----------
    frame : DataFrame
        The responses of the lottery.
    a, p : ndarray, shape (n,)
        ``asked`` and ``p_ask``.

    Returns
    -------
    (float, str) or None
        None where nothing varies.

    """
    columns = _covariates(frame)
    v = p * (1 - p)
    kept = {}
    for name, x in columns.items():
        centred = x - (v @ x) / max(v.sum(), 1e-12)
        spread = float(v @ np.square(centred))
        if spread > 1e-9 * max(float(v @ np.square(x)), 1e-300):
            kept[name] = centred / spread**0.5
    if not kept:
        return None
    x = np.stack(list(kept.values()), 1)
    score, information = x.T @ (a - p), (x * v[:, None]).T @ x
    values, vectors = np.linalg.eigh(information)
    used = values > 1e-6 * values.max()
    statistic = float((np.square(vectors.T @ score)[used] / values[used]).sum())
    largest = list(kept)[int(np.abs(score).argmax())]
    return float(chdtrc(int(used.sum()), statistic)), largest


def _covariates(frame: pl.DataFrame) -> dict[str, Array]:
    """What is known of every response before the question: name -> (n,) numbers."""
    lengths = {
        f"the length of the {k}": pl.col(k).str.len_chars().log1p() for k in ("prompt", "response")
    }
    columns = {
        name: frame.select(e).to_series().to_numpy().astype(float) for name, e in lengths.items()
    }
    others = [c for c in frame.columns if c in ("time", "model") or c.startswith("context.")]
    for name in others:
        column = frame[name]
        if column.null_count() == len(column):
            continue
        if column.dtype == pl.String:
            values = column.value_counts(sort=True)[name].drop_nulls().head(MOST_VALUES)
            columns |= {
                f"{name} {v}": (column == v).fill_null(value=False).to_numpy().astype(float)
                for v in values
            }
        else:
            number = column.to_physical().cast(pl.Float64)
            columns[name] = number.fill_null(number.mean()).to_numpy()
    return columns


def mismatches(frame: pl.DataFrame, key: str, source: str, problems: list[str]) -> int:
    """Count the responses whose ``asked`` does not follow from id and key, and say what may be the cause.

    Parameters
    ----------
    frame : DataFrame
        The responses of the lottery.
    key : str
        The key.
    source : str
        Name of the log, for the error.
    problems : list of str
        Gets a sentence about them.

    Returns
    -------
    int

    Raises
    ------
    TruewardError
        If the log has no ids.

    """
    if "response_id" not in frame.columns:
        raise TruewardError(
            f"with a key, asked is computed again from `response_id`, which {source} lacks: add "
            "--map response_id=NAME, or leave the key out"
        )
    rows = frame.drop_nulls("response_id")
    if rows.height < frame.height:
        problems.append(
            f"{frame.height - rows.height:,} responses of the lottery have no response_id"
        )
    ids, p = rows["response_id"].to_list(), rows["p_ask"].to_list()
    asked = rows["asked"].to_numpy() == 1
    # an import writes PRODUCT:ID, and the product drew with ID
    bare = [i.partition(":")[2] or i for i in ids]
    differs = min((asked != _wins(of, p, key) for of in (ids, bare)), key=np.count_nonzero)
    count = int(differs.sum())
    if count:
        chance = rows["p_ask"].to_numpy()
        unrelated = float((2 * chance * (1 - chance)).sum())
        cause = (
            "as many as with a key that was never used; is this the key?"
            if count > unrelated / 2
            else _since(rows, differs)
        )
        problems.append(
            f"asked does not follow from response_id, p_ask and this key in {count:,} of {rows.height:,} "
            f"responses, {cause}"
        )
    return count


def _wins(ids: list[str], p: list[float], key: str) -> NDArray[np.bool_]:
    """Whether each id is asked about at its p."""
    return np.array([ask(i, chance, key)["asked"] for i, chance in zip(ids, p, strict=True)], bool)


def _since(rows: pl.DataFrame, differs: NDArray[np.bool_]) -> str:
    """Name the first mismatch, and the time from which on the key may have been another one."""
    first = f"the first with the id {rows['response_id'][int(differs.argmax())]}"
    if "time" not in rows.columns or rows["time"].null_count():
        return first
    start = rows["time"].filter(pl.Series(differs)).min()
    later = rows.filter(pl.col("time") >= start)["p_ask"].to_numpy()
    unrelated = float((2 * later * (1 - later)).sum())
    changed = differs.sum() > unrelated / 2
    return f"none before {start!s}, and then as many as with another key" if changed else first
