"""A figure of a page from its rows, with these rows as its table."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.errors import TruewardError
from trueward.plotting import bars, drawn

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
    """Draw ``make(rows, *axes, **how)``; without the drawing library the table stands for it."""
    try:
        svg = drawn(make(rows, *axes, **how))
    except TruewardError:
        svg = None
    return Figure(svg, caption, table or tabled(rows, caption))


def distribution(parts: Mapping[str, Array], what: str, caption: str, quantiles: str) -> Figure:
    """Histograms of shares in [0, 1], a line a part, with a table of their quantiles."""
    parts = {f"{name} ({len(v):,})": v for name, v in parts.items() if len(v)}
    rows = []
    for name, v in parts.items():
        count, edges = (e.tolist() for e in np.histogram(v, bins=BINS, range=(0.0, 1.0)))
        rows += [
            {"start": start, "end": end, "share": c / len(v), "series": name}
            for (start, end), c in zip(pairwise(edges), count, strict=True)
        ]
    at = list(QUANTILES.values())
    cells = [[name, *(f"{q:.3f}" for q in np.quantile(v, at))] for name, v in parts.items()]
    table = Table(quantiles, ["responses", *QUANTILES], cells)
    return figure(bars, rows, what, "share of the responses", caption=caption, table=table)


def tabled(rows: Sequence[dict[str, Any]], caption: str) -> Table:
    """The rows as text, names first."""
    names = [k for k, v in rows[0].items() if isinstance(v, str)]
    head = [*names, *(k for k in rows[0] if k not in names)]
    cells = [[written(r.get(k)) for k in head] for r in rows]
    return Table(caption, head, cells, frozenset(range(len(names))))


def written(v: object) -> str:
    """A cell."""
    if v is None:
        return "-"
    return f"{v:.3f}" if isinstance(v, float) else str(v)
