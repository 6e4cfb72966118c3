"""Figures of a page: an SVG from `trueward.evaluation.plotting`, and its numbers as a table."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError
from trueward.core.weighted import weighted_quantile
from trueward.evaluation.plotting import histogram, svg_of

from .page import Figure, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 24
QUANTILES = {"1 %": 0.01, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "99 %": 0.99}


def figure(
    make: Callable[..., Any],
    rows: Sequence[Any],
    *axes: str,
    caption: str,
    table: Table | None = None,
    **how: Any,
) -> Figure:
    """Draw ``make(rows, *axes, **how)``; without the drawing library the figure is only its table.

    Parameters
    ----------
    make : callable
        A function of `trueward.evaluation.plotting`.
    rows : sequence
        What it draws.
    *axes : str
        Titles of its axes.
    caption : str
        Caption of the figure.
    table : Table, optional
        The numbers of the figure; by default ``rows`` as a table.
    **how
        Further options of ``make``.

    Returns
    -------
    Figure
        With ``svg`` None where the extra `report` is not installed.

    """
    try:
        svg = svg_of(make(rows, *axes, **how))
    except TruewardError:
        svg = None
    return Figure(svg, caption, table or rows_as_table(rows, caption))


def distribution(
    parts: Mapping[str, Array],
    what: str,
    caption: str,
    quantiles: str,
    weights: Mapping[str, Array] | None = None,
) -> Figure:
    """Draw histograms of values in [0, 1], one line a part, with a table of their quantiles.

    Parameters
    ----------
    parts : mapping of str to (n,) array
        Values in [0, 1] by name.
    what : str
        Name of the values.
    caption, quantiles : str
        Captions of the figure and of the table.
    weights : mapping of str to (n,) array, optional
        What each value represents, by the name of its part; 1 by default.

    Returns
    -------
    Figure
        Histograms with 24 bins over the range of the values.

    """
    rows, cells = [], []
    ends = rounded_range(np.concatenate([v for v in parts.values() if len(v)]))
    for part, v in parts.items():
        if not len(v):
            continue
        name, w = f"{part} ({len(v):,})", None if weights is None else weights[part]
        histogram_of = np.histogram(v, bins=BINS, range=ends, weights=w)
        count, edges = (e.tolist() for e in histogram_of)
        total = len(v) if w is None else float(w.sum())
        rows += [
            {"start": start, "end": end, "share": c / total, "series": name}
            for (start, end), c in zip(pairwise(edges), count, strict=True)
        ]
        at = weighted_quantile(v, list(QUANTILES.values()), w)
        cells.append([name, *(f"{q:.3f}" for q in at)])
    table = Table(quantiles, ["responses", *QUANTILES], cells)
    return figure(histogram, rows, what, "share of the responses", caption=caption, table=table)


def rounded_range(v: Array) -> tuple[float, float]:
    """Return the range of values in [0, 1], rounded outwards to twentieths.

    Parameters
    ----------
    v : (n,) array
        At least one value.

    Returns
    -------
    tuple of float
        Lower and upper end.

    """
    low, high = np.floor(v.min() * 20 + 1e-9) / 20, np.ceil(v.max() * 20 - 1e-9) / 20
    high = max(high, 0.05)
    return float(min(low, high - 0.05)), float(high)


def rows_as_table(rows: Sequence[dict[str, Any]], caption: str) -> Table:
    """Format rows as a table, columns of text first.

    Parameters
    ----------
    rows : sequence of dict
        At least one row; the first decides the columns.
    caption : str
        Caption of the table.

    Returns
    -------
    Table
        One row a dict.

    """
    names = [k for k, v in rows[0].items() if isinstance(v, str)]
    head = [*names, *(k for k in rows[0] if k not in names)]
    cells = [[cell_text(r.get(k)) for k in head] for r in rows]
    return Table(caption, head, cells, frozenset(range(len(names))))


def cell_text(v: object) -> str:
    """Format a value as a cell: three digits for floats, a dash for None.

    Parameters
    ----------
    v : object
        The value.

    Returns
    -------
    str
        Text of the cell.

    """
    if v is None:
        return "-"
    return f"{v:.3f}" if isinstance(v, float) else str(v)
