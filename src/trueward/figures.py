"""Figures as SVG or PNG, drawn by the extra `report`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import TruewardError
from .files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from .sensitivity import Sensitivity


def altair() -> Any:
    """The drawing library, or how to get it."""
    try:
        found: Any = importlib.import_module("altair")
        importlib.import_module("vl_convert")
    except ImportError:
        raise TruewardError(
            "a figure needs the extra `report`: pip install 'trueward[report]'"
        ) from None
    return found


def curve(found: Sensitivity, file: Path) -> None:
    """Draw mean P and the share of pairs in order along the odds ratio of reacting."""
    alt = altair()
    rows = [
        {"odds ratio": m.at, "value": v, "of": name}
        for m in found.odds
        for name, v in (("mean P(preferred)", m.mean), ("pairs that stay in order", m.kept))
        if v == v  # noqa: PLR0124 - not NaN
    ]
    axis = alt.Axis(values=[0.2, 0.5, 1, 2, 5], title="odds ratio of reacting, good against bad")
    lines = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("odds ratio:Q", scale=alt.Scale(type="log"), axis=axis),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("of:N", title=None, legend=alt.Legend(orient="bottom", labelLimit=0)),
        )
    )
    one = alt.Chart().mark_rule(strokeDash=[4, 3], color="gray").encode(x=alt.datum(1.0))
    with replacing(file) as path:
        (lines + one).properties(width=420, height=260).save(str(path))
