"""Figures as SVG or PNG, drawn by the extra `report`."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trueward.evaluation.sensitivity import Sensitivity

# in a page: colours that follow its theme, as its style sheet names them
INK = "currentColor"
COLOURS = tuple(f"var(--c{k})" for k in range(1, 7))
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3])  # series differ without colour, too
THEME = {
    "background": "transparent",
    "aria": False,  # the page describes the figure as a whole
    "font": "Arial, 'Liberation Sans', Helvetica, sans-serif",  # widths the converter knows
    "view": {"stroke": None},
    "axis": {
        **dict.fromkeys(("domainColor", "tickColor", "gridColor", "labelColor", "titleColor"), INK),
        "gridOpacity": 0.15,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 320,
    },
    "legend": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12, "labelLimit": 320},
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12},
    "title": {"color": INK},
    "range": {"category": list(COLOURS)},
}


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


def drawn(chart: Any) -> str:
    """The chart as SVG that takes its colours from the page around it."""
    convert: Any = importlib.import_module("vl_convert")
    return str(convert.vegalite_to_svg({**chart.to_dict(), "config": THEME}))


def lines(
    points: Iterable[dict[str, Any]],
    x: str,
    y: str,
    *,
    ticks: Sequence[float] = (),
    log: bool = False,
    diagonal: bool = False,
    unit: bool = False,
) -> Any:
    """y along x, a line a ``series``; from ``low`` to ``high`` where a point has them."""
    alt = altair()
    shown = [p for p in points if math.isfinite(p[y])]
    names = list(dict.fromkeys(p["series"] for p in shown))
    scale = alt.Scale(type="log") if log else alt.Scale(**({"domain": [0, 1]} if unit else {}))
    axis = alt.Axis(values=list(ticks)) if ticks else alt.Axis()
    whole = alt.Scale(domain=[0, 1]) if unit or log else alt.Scale(zero=False)
    legend = alt.Legend(orient="bottom", columns=3) if len(names) > 1 else None
    base = alt.Chart(alt.Data(values=shown)).encode(
        x=alt.X(f"{x}:Q", scale=scale, axis=axis),
        y=alt.Y(f"{y}:Q", scale=whole),
        color=alt.Color("series:N", title=None, scale=alt.Scale(domain=names), legend=legend),
    )
    layers = [
        base.mark_line().encode(strokeDash=_dashes(names, legend)),
        base.mark_point(filled=True, size=36),
    ]
    if any("low" in p for p in shown):
        layers.insert(0, base.mark_rule().encode(y=alt.Y("low:Q", title=y), y2="high:Q"))
    if diagonal:
        ends = alt.Data(values=[{x: 0, y: 0}, {x: 1, y: 1}])
        line = alt.Chart(ends).mark_line(strokeDash=[4, 3], color=INK, opacity=0.5)
        layers.insert(0, line.encode(x=f"{x}:Q", y=f"{y}:Q"))
    if log:
        one = alt.Chart().mark_rule(strokeDash=[4, 3], color="gray")
        layers.insert(0, one.encode(x=alt.datum(1.0)))
    return alt.layer(*layers).properties(width=440, height=280)


def _dashes(names: Sequence[str], legend: Any) -> Any:
    """A dash a series, beside its colour and in one legend with it."""
    alt = altair()
    dashes = [DASHES[k % len(DASHES)] for k in range(len(names))]
    scale = alt.Scale(domain=list(names), range=dashes)
    return alt.StrokeDash("series:N", title=None, scale=scale, legend=legend)


def spans(rows: Sequence[dict[str, Any]], x: str, marks: Sequence[float] = ()) -> Any:
    """A dot and its interval for every ``name``, one below the other, a colour a ``series``."""
    alt = altair()
    names = list(dict.fromkeys(r["name"] for r in rows))
    series = list(dict.fromkeys(r.get("series", "") for r in rows))
    values = [{"series": "", **r} for r in rows]
    scale, several = alt.Scale(zero=False), len(series) > 1
    legend = alt.Legend(orient="bottom", columns=3) if several else None
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("name:N", title=None, sort=names),
        color=alt.Color("series:N", title=None, scale=alt.Scale(domain=series), legend=legend),
    )
    if several:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=series))
    span = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale, title=x), x2="high:Q")
    shape = alt.Shape("series:N", title=None, scale=alt.Scale(domain=series), legend=legend)
    dots = base.mark_point(filled=True, size=48).encode(
        x=alt.X("value:Q", scale=scale, title=x), shape=shape
    )
    rule = alt.Chart().mark_rule(strokeDash=[4, 3], color="gray")
    layers = [*(rule.encode(x=alt.datum(v)) for v in marks), span, dots]
    room = 5 + 2 * max(map(len, names))  # for fonts wider than those that labels are measured in
    return alt.layer(*layers).properties(
        width=440,
        height=alt.Step(12 if several else 20),
        padding={"left": room, "right": 5, "top": 5, "bottom": 5},
    )


def bars(rows: Sequence[dict[str, Any]], x: str, y: str) -> Any:
    """Steps of a histogram: ``share`` from ``start`` to ``end``, a line a ``series``."""
    alt = altair()
    names = list(dict.fromkeys(r["series"] for r in rows))
    points = [
        {"at": at, "share": r["share"], "series": r["series"]}
        for r in rows
        for at in (r["start"], r["end"])
    ]
    legend = alt.Legend(orient="bottom", columns=3) if len(names) > 1 else None
    return (
        alt.Chart(alt.Data(values=points))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("at:Q", title=x, scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("share:Q", title=y, axis=alt.Axis(format="%")),
            color=alt.Color("series:N", title=None, scale=alt.Scale(domain=names), legend=legend),
            strokeDash=_dashes(names, legend),
            order=alt.Order("at:Q"),
        )
        .properties(width=440, height=240)
    )


def odds_ratio(found: Iterable[tuple[str, Sensitivity]], *, kept: bool = True) -> Any:
    """Mean P, and the share of pairs in order, along the odds ratio of reacting."""
    x, y = "odds ratio of reacting, good against bad", "value" if kept else "mean P(preferred)"
    points = []
    for name, s in found:
        points += [{x: m.at, y: m.mean, "series": name} for m in s.odds]
        if kept:
            points += [{x: m.at, y: m.kept, "series": "pairs that stay in order"} for m in s.odds]
    return lines(points, x, y, ticks=(0.2, 0.5, 1, 2, 5), log=True)


def curve(found: Sensitivity, file: Path) -> None:
    """Draw what an odds ratio of reacting does to one model's conclusions, as a file."""
    chart = odds_ratio([("mean P(preferred)", found)])
    with replacing(file) as path:
        chart.save(str(path))
