"""A figure of a page from its rows, with these rows as its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.errors import TruewardError
from trueward.figures import drawn

from ._page import Figure, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
