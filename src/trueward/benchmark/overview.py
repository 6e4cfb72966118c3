"""Overview of many scenarios: wins against naive, a matrix of methods and mechanisms, and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError
from trueward.evaluation.plotting import recovered_shares
from trueward.simulation import CLICKS

from .entries import CLEAN, NAIVE, ORACLE
from .metrics import ON_GOLD
from .repeats import distinct
from .summary import OBSERVABLE, Section

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trueward.core.estimate import Estimate

#: Fewest scenarios with an overview.
FEWEST = 3
MEASURES = {"r2": "R2", ON_GOLD: "R2 + gold", "auroc": "AUROC"}
BETTER, WORSE = "▲", "▼"
#: Range of the figure; shares outside are drawn at its edge.
RANGE = (-1.0, 1.5)


def overview(scenarios: Sequence[Section]) -> list[str]:
    """Return Markdown lines: the standing of every method, and a matrix for each set and metric.

    Parameters
    ----------
    scenarios : sequence of Section
        The scenarios.

    Returns
    -------
    list of str
        Lines; empty for fewer than 3 scenarios.

    """
    if len(scenarios) < FEWEST:
        return []
    lines = ["", "## At a glance", "", *standing(scenarios)]
    for name in dict.fromkeys(s.settings["set"] for s in scenarios):
        for clicks in (False, True):
            part = [
                s
                for s in scenarios
                if s.settings["set"] == name and (s.settings["mechanism"] in CLICKS) == clicks
            ]
            for metric in ("r2", "auroc"):
                lines += matrix(part, metric, f"{name}, {'clicks' if clicks else 'ratings'}")
    return lines


def standing(scenarios: Sequence[Section]) -> list[str]:
    """Return a Markdown table: scenarios where a method is better or worse than naive, failed jobs.

    Parameters
    ----------
    scenarios : sequence of Section
        The scenarios.

    Returns
    -------
    list of str
        Lines: a note and the table.

    """
    shown = [m for m in MEASURES if any(s.figure(NAIVE, m) for s in scenarios)]
    head = ["method", "scenarios", *(f"{MEASURES[m]}: better, worse" for m in shown), "failed jobs"]
    note = (
        "Number of scenarios in which the 95 % interval of the paired difference to naive is above 0 "
        "(better), and in which it is below 0 (worse). For a method equal to naive, about one in forty "
        "intervals is above 0 and one in forty below, by chance."
    )
    scenarios, again = distinct(scenarios)
    lines = [
        " ".join([note, *again]),
        "",
        f"| {' | '.join(head)} |",
        f"|---{'|---:' * (len(head) - 1)}|",
    ]
    for method in _methods(scenarios):
        sections = [s for s in scenarios if s.figure(method, "r2")]
        failed = sum(
            r["status"] == "failed" and r["method"] == method for s in scenarios for r in s.rows
        )
        if method == NAIVE or not (sections or failed):
            continue
        cells = []
        for metric in shown:
            figures = [s.figure(method, metric) for s in sections]
            gaps = [f.minus_naive for f in figures if f is not None and f.minus_naive is not None]
            marks = [mark(g) for g in gaps]
            counts = f"{marks.count(BETTER)}, {marks.count(WORSE)}"
            cells.append(counts if gaps else "–")
        lines.append(f"| {method} | {len(sections)} | {' | '.join(cells)} | {failed or ''} |")
    return lines


def matrix(scenarios: Sequence[Section], metric: str, title: str) -> list[str]:
    """Return a Markdown table of metric minus naive's metric, methods by scenarios.

    Parameters
    ----------
    scenarios : sequence of Section
        The columns.
    metric : str
        A key of `MEASURES`.
    title : str
        Title of the table.

    Returns
    -------
    list of str
        Lines; the row of naive has its metric in brackets.

    """
    scenarios = [s for s in scenarios if s.figure(NAIVE, metric)]
    if not scenarios:
        return []
    head = f"| method | {' | '.join(_columns(scenarios))} |"
    lines = [
        "",
        f"### {title}: {MEASURES[metric]} minus naive's",
        "",
        head,
        f"|---{'|---:' * len(scenarios)}|",
    ]
    for method in _methods(scenarios):
        cells = [_cell(s, method, metric) for s in scenarios]
        if any(cells):
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def mark(gap: Estimate | None) -> str:
    """Return `BETTER` if the interval is above 0, `WORSE` if below, else an empty string.

    Parameters
    ----------
    gap : Estimate or None
        Difference to naive, with its interval.

    Returns
    -------
    str
        The mark; empty also without an interval.

    """
    if gap is None or gap.low is None or gap.high is None:
        return ""
    return BETTER if gap.low > 0 else WORSE if gap.high < 0 else ""


def _cell(section: Section, method: str, metric: str) -> str:
    """Return the difference to naive, its mark, and the number of failed seeds."""
    figure = section.figure(method, metric)
    lost = sum(r["status"] == "failed" and r["method"] == method for r in section.rows)
    note = f" ({lost} failed)" if lost else ""
    if figure is None or figure.value is None:
        return note.strip(" ()")
    if method == NAIVE:
        return f"({figure.value.value:.3f})" + note
    gap = figure.minus_naive
    return (f"{gap.value:+.3f} {mark(gap)}".strip() if gap else "–") + note


def _columns(scenarios: Sequence[Section]) -> list[str]:
    """Return the names of scenarios: the mechanism, and the settings that differ."""
    names = [s.settings["mechanism"] for s in scenarios]
    apart = [k for k in ("alpha", "rate", "rho_01", "rho_10", "gold") if _varies(scenarios, k)]
    return [
        " ".join([n, *(f"{k} {s.settings[k]}" for k in apart)]) if names.count(n) > 1 else n
        for n, s in zip(names, scenarios, strict=True)
    ]


def _varies(scenarios: Sequence[Section], key: str) -> bool:
    """Return whether a setting differs between scenarios of one mechanism."""
    values: dict[str, set[object]] = {}
    for s in scenarios:
        values.setdefault(s.settings["mechanism"], set()).add(s.settings[key])
    return any(len(v) > 1 for v in values.values())


def _methods(scenarios: Sequence[Section]) -> list[str]:
    """Return all methods in the order of the config, the reference methods first."""
    every = dict.fromkeys(r["method"] for s in scenarios for r in s.rows)
    first = [m for m in (ORACLE, CLEAN, NAIVE) if m in every]
    return [*first, *(m for m in every if m not in first)]


def points(scenarios: list[Section], metric: str) -> list[dict[str, Any]]:
    """Return the points of the figure.

    Parameters
    ----------
    scenarios : list of Section
        The scenarios.
    metric : str
        Metric of the share.

    Returns
    -------
    list of dict
        One for each method and scenario with a share of the gap between naive and clean-mcar.

    """
    rows = []
    for section in scenarios:
        s = section.settings
        rest = [f"alpha {s['alpha']:g}"] if s["mechanism"] != "logged" else []
        rest += [f"{k} {s[k]:g}" for k in ("rho_01", "rho_10") if s[k]]
        for f in section.figures:
            share = f.recovered
            skipped = f.method in (ORACLE, CLEAN, NAIVE) or f.metric != metric
            if skipped or f.selection != OBSERVABLE or share is None or share.value is None:
                continue
            low = share.value if share.low is None else share.low
            high = share.value if share.high is None else share.high
            ends = {"share": share.value, "low": low, "high": high}
            rows.append(
                {
                    "mechanism": s["mechanism"],
                    "method": f.method,
                    "scenario": ", ".join([s["set"], *rest]),
                    **{k: min(RANGE[1], max(RANGE[0], v)) for k, v in ends.items()},
                }
            )
    return rows


def draw_recovered(
    scenarios: list[Section], metric: str, folder: Path
) -> tuple[list[Path], str | None]:
    """Draw the share of the gap that each method recovers.

    Parameters
    ----------
    scenarios : list of Section
        The scenarios.
    metric : str
        Metric of the share.
    folder : Path
        Gets recovered.svg and recovered.png.

    Returns
    -------
    files : list of Path
        The files.
    note : str or None
        The reason if there is no figure.

    """
    rows = points(scenarios, metric)
    if not rows:
        return [], "no figure: no scenario has a gap between naive and clean-mcar"
    files = [folder / "recovered.svg", folder / "recovered.png"]
    try:
        recovered_shares(rows, metric, RANGE, files)
    except TruewardError:
        return [], "no figure: install the extra `report` (pip install 'trueward[report]')"
    return files, None
