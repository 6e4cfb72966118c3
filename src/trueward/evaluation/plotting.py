"""Every figure of the library, drawn with Altair (the extra `report`) as SVG or PNG."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from trueward.core.atomic_io import replacing
from trueward.core.chart_layout import fitting_domain, label_room, line_widths, spread_out
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trueward.evaluation.sensitivity import Sensitivity

# colours of figures on a page: names in its style sheet, so that they follow its theme
INK = "currentColor"
COLOURS = tuple(f"var(--c{k})" for k in range(1, 7))
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3])  # series also differ without colour
LABEL = 15  # height of a label at the end of a line, in pixels
THEME = {
    "background": "transparent",
    "aria": False,  # the page labels the figure as a whole
    "font": "Arial, 'Liberation Sans', Helvetica, sans-serif",  # fonts whose widths the converter knows
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
    """Import Altair and its converter, and return the module ``altair``.

    Raises
    ------
    TruewardError
        If the extra `report` is not installed.

    """
    try:
        module: Any = importlib.import_module("altair")
        importlib.import_module("vl_convert")
    except ImportError:
        raise TruewardError(
            "a figure needs the extra `report`: pip install 'trueward[report]'"
        ) from None
    return module


def svg_of(chart: Any) -> str:
    """Convert a chart to SVG that takes its colours from the page around it."""
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
    """Draw lines through points, one line a ``series``.

    Parameters
    ----------
    points : iterable of dict
        With the keys ``x``, ``y`` and ``series``; ``low`` and ``high`` draw an interval.
    x, y : str
        Keys of the coordinates, and titles of the axes.
    ticks : sequence of float, optional
        Ticks of the horizontal axis.
    log : bool, default False
        Logarithmic horizontal axis, with a rule at 1, and a vertical axis from 0 to 1.
    diagonal : bool, default False
        Draw the line y = x.
    unit : bool, default False
        Both axes from 0 to 1.

    Returns
    -------
    altair.Chart

    """
    alt = altair()
    shown = [p for p in points if math.isfinite(p[y])]
    names = list(dict.fromkeys(p["series"] for p in shown))
    ends = (0.0, 1.0) if unit else fitting_domain([p[x] for p in shown], room=not log)
    kind = {"type": "log"} if log else {}
    scale = alt.Scale(domain=ends, nice=False, **kind)
    axis = alt.Axis(values=list(ticks)) if ticks else alt.Axis()
    held = [p[k] for p in shown for k in (y, "low", "high") if k in p and math.isfinite(p[k])]
    whole = (0.0, 1.0) if unit or log else fitting_domain(held)
    base = alt.Chart(alt.Data(values=shown)).encode(
        x=alt.X(f"{x}:Q", scale=scale, axis=axis),
        y=alt.Y(f"{y}:Q", scale=alt.Scale(domain=whole, nice=False)),
        color=alt.Color("series:N", title=None, scale=alt.Scale(domain=names), legend=None),
    )
    layers = [
        base.mark_line(**({} if len(names) > 1 else {"strokeWidth": 2})).encode(**_distinct(names)),
        base.mark_point(filled=True, size=36),
    ]
    if any("low" in p for p in shown):
        layers.insert(0, base.mark_rule().encode(y=alt.Y("low:Q", title=y), y2="high:Q"))
    if diagonal:
        line = alt.Chart(alt.Data(values=[{x: 0, y: 0}, {x: 1, y: 1}]))
        line = line.mark_line(strokeDash=[4, 3], color=INK, opacity=0.5)
        layers.insert(0, line.encode(x=f"{x}:Q", y=f"{y}:Q"))
    if log:
        one = alt.Chart().mark_rule(strokeDash=[4, 3], color="gray")
        layers.insert(0, one.encode(x=alt.datum(1.0)))
    last = {p["series"]: p for p in sorted(shown, key=lambda p: float(p[x]))}
    furthest = max(float(p[x]) for p in last.values())
    layers += _labels({k: (furthest, last[k][y]) for k in names}, whole, 280, (x, y))
    return alt.layer(*layers).properties(width=440, height=280, padding=label_room(names))


def _labels(
    places: dict[str, tuple[float, float]],
    domain: tuple[float, float],
    height: int,
    keys: tuple[str, str],
) -> list[Any]:
    """Name every line at its place, in its colour; labels that would cover each other move apart."""
    if len(places) < 2:
        return []
    alt, (x, y), (low, high) = altair(), keys, domain
    least = LABEL * (high - low) / height
    at = spread_out([v for _, v in places.values()], least, domain)
    rows = [
        {x: place, y: v, "series": name}
        for (name, (place, _)), v in zip(places.items(), at, strict=True)
    ]
    texts = alt.Chart(alt.Data(values=rows)).mark_text(align="left", dx=8, fontSize=12)
    scale = alt.Scale(domain=list(places))
    color = alt.Color("series:N", title=None, scale=scale, legend=None)
    return [texts.encode(x=f"{x}:Q", y=f"{y}:Q", text="series:N", color=color)]


def _distinct(names: Sequence[str]) -> dict[str, Any]:
    """Encode several series by dashes and widths: they differ without colour, and none hides another."""
    if len(names) < 2:
        return {}
    alt, about = altair(), {"title": None, "legend": None}
    dashes = [DASHES[k % len(DASHES)] for k in range(len(names))]
    ranges = {"strokeDash": dashes, "strokeWidth": line_widths(len(names))}
    kinds = {"strokeDash": alt.StrokeDash, "strokeWidth": alt.StrokeWidth}
    return {
        k: kinds[k]("series:N", scale=alt.Scale(domain=list(names), range=v), **about)
        for k, v in ranges.items()
    }


def intervals(rows: Sequence[dict[str, Any]], x: str, marks: Sequence[float] = ()) -> Any:
    """Draw values with their intervals, one line a ``name``, one colour a ``series``.

    Parameters
    ----------
    rows : sequence of dict
        With the keys ``name``, ``value``, ``low``, ``high`` and, optionally, ``series``.
    x : str
        Title of the horizontal axis.
    marks : sequence of float, optional
        Positions of vertical rules.

    Returns
    -------
    altair.Chart

    """
    alt = altair()
    names = list(dict.fromkeys(r["name"] for r in rows))
    series = list(dict.fromkeys(r.get("series", "") for r in rows))
    values = [{"series": "", **r} for r in rows]
    scale, several, legend = alt.Scale(zero=False), len(series) > 1, None
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
    if several:
        named = base.mark_text(align="left", dx=6, fontSize=11)
        layers.append(
            named.encode(
                x=alt.X("high:Q", scale=scale, title=x), text="series:N", color=alt.value(INK)
            )
        )
    room = 5 + 2 * max(
        map(len, names)
    )  # for fonts wider than those that the labels are measured in
    return alt.layer(*layers).properties(
        width=440,
        height=alt.Step(14 if several else 20),
        padding=label_room(series) | {"left": room},
    )


def histogram(rows: Sequence[dict[str, Any]], x: str, y: str) -> Any:
    """Draw histograms as steps, one line a ``series``.

    Parameters
    ----------
    rows : sequence of dict
        Bins with the keys ``start``, ``end``, ``share`` and ``series``.
    x, y : str
        Titles of the axes.

    Returns
    -------
    altair.Chart

    """
    alt = altair()
    names = list(dict.fromkeys(r["series"] for r in rows))
    points = [
        {"at": at, "share": r["share"], "series": r["series"]}
        for r in rows
        for at in (r["start"], r["end"])
    ]
    ends = (min(p["at"] for p in points), max(p["at"] for p in points))
    highest = (0.0, 1.08 * max(p["share"] for p in points))
    color = alt.Color("series:N", title=None, scale=alt.Scale(domain=names), legend=None)
    steps = (
        alt.Chart(alt.Data(values=points))
        .mark_line(**({} if len(names) > 1 else {"strokeWidth": 2}))
        .encode(
            x=alt.X("at:Q", title=x, scale=alt.Scale(domain=ends, nice=False)),
            y=alt.Y(
                "share:Q",
                title=y,
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=highest, nice=False),
            ),
            color=color,
            **_distinct(names),
            order=alt.Order("at:Q"),
        )
    )
    tops = {
        name: max((r for r in rows if r["series"] == name), key=lambda r: float(r["share"]))
        for name in names
    }
    labels = _labels(
        {k: (r["end"], r["share"]) for k, r in tops.items()}, highest, 240, ("at", "share")
    )
    return alt.layer(steps, *labels).properties(width=440, height=240, padding=label_room(names))


def odds_ratio_curves(results: Iterable[tuple[str, Sensitivity]], *, kept: bool = True) -> Any:
    """Draw the mean P(preferred) along the odds ratio of reacting.

    Parameters
    ----------
    results : iterable of (str, Sensitivity)
        Names of the lines, and what they show.
    kept : bool, default True
        Draw also the share of pairs that stay in order.

    Returns
    -------
    altair.Chart

    """
    x, y = "odds ratio of reacting, good against bad", "value" if kept else "mean P(preferred)"
    points = []
    for name, s in results:
        points += [{x: m.at, y: m.mean, "series": name} for m in s.odds]
        if kept:
            points += [{x: m.at, y: m.kept, "series": "pairs that stay in order"} for m in s.odds]
    return lines(points, x, y, ticks=(0.2, 0.5, 1, 2, 5), log=True)


def curve(result: Sensitivity, file: Path) -> None:
    """Draw the sensitivity of one model to a file.

    Parameters
    ----------
    result : Sensitivity
        What to draw.
    file : Path
        The file, .svg or .png.

    """
    _save(odds_ratio_curves([("mean P(preferred)", result)]), file)


def recovered_shares(
    points: Sequence[dict[str, Any]],
    metric: str,
    limits: tuple[float, float],
    files: Iterable[Path],
) -> None:
    """Draw the share of a gap that each method recovers, one panel a mechanism, to files.

    Parameters
    ----------
    points : sequence of dict
        With the keys ``mechanism``, ``method``, ``scenario``, ``share``, ``low`` and ``high``.
    metric : str
        Metric of the gap, for the title of the axis.
    limits : tuple of float
        Ends of the axis.
    files : iterable of Path
        Files to write, .svg or .png.

    """
    alt = altair()
    axis, scale = alt.Axis(format="%"), alt.Scale(domain=limits)
    share = {"title": f"recovered share of {metric}", "axis": axis, "scale": scale}
    base = alt.Chart(alt.Data(values=points)).encode(
        y=alt.Y("method:N", title=None, sort=list(dict.fromkeys(p["method"] for p in points))),
        color=alt.Color("scenario:N", title=None, legend=alt.Legend(orient="bottom", labelLimit=0)),
        yOffset=alt.YOffset("scenario:N"),
    )
    span = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", **share), x2="high:Q")
    dots = base.mark_point(filled=True, size=60).encode(x=alt.X("share:Q", **share))
    ends = alt.Chart(alt.Data(values=points)).mark_rule(strokeDash=[4, 3], color="gray")
    marks = [ends.encode(x=alt.datum(v)) for v in (0.0, 1.0)]
    chart = alt.layer(*marks, span, dots).properties(width=220)
    title = "0 % is naive, 100 % is as many clean labels drawn at random; bars are 95 % intervals"
    panels = chart.facet(alt.Facet("mechanism:N", title=None), columns=4).properties(title=title)
    for file in files:
        _save(panels, file)


def _save(chart: Any, file: Path) -> None:
    with replacing(file) as path:
        chart.save(str(path))
