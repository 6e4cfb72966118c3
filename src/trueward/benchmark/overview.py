"""Many scenarios at a glance: methods by mechanisms, and how often a method beats naive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.simulation import CLICKS

from .entries import CLEAN, NAIVE, ORACLE
from .work import ON_GOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.core.estimate import Estimate

    from .summary import Section

FEWEST = 3  # scenarios that are worth a glance
MEASURES = {"r2": "R2", ON_GOLD: "R2 + gold", "auroc": "AUROC"}
BETTER, WORSE = "▲", "▼"


def overview(found: Sequence[Section]) -> list[str]:
    """Lay out the standing of every method, and for each set one table a measure."""
    if len(found) < FEWEST:
        return []
    lines = ["", "## At a glance", "", *standing(found)]
    for name in dict.fromkeys(s.settings["set"] for s in found):
        for clicks in (False, True):
            here = [
                s
                for s in found
                if s.settings["set"] == name and (s.settings["mechanism"] in CLICKS) == clicks
            ]
            for metric in ("r2", "auroc"):
                lines += matrix(here, metric, f"{name}, {'clicks' if clicks else 'ratings'}")
    return lines


def standing(found: Sequence[Section]) -> list[str]:
    """Count the scenarios where a method is better and worse than naive, and its jobs that failed."""
    shown = [m for m in MEASURES if any(s.figure(NAIVE, m) for s in found)]
    head = ["method", "scenarios", *(f"{MEASURES[m]}: better, worse" for m in shown), "failed jobs"]
    meaning = (
        "In how many scenarios the 95 % interval of the paired difference to naive is above 0, and in "
        "how many below. Of forty such intervals of methods that equal naive, one would be above and "
        "one below by chance."
    )
    lines = [
        meaning,
        "",
        f"| {' | '.join(head)} |",
        f"|---{'|---:' * (len(head) - 1)}|",
    ]
    for method in _methods(found):
        sections = [s for s in found if s.figure(method, "r2")]
        failed = sum(
            r["status"] == "failed" and r["method"] == method for s in found for r in s.rows
        )
        if method == NAIVE or not (sections or failed):
            continue
        cells = []
        for metric in shown:
            figures = [s.figure(method, metric) for s in sections]
            gaps = [f.minus_naive for f in figures if f is not None and f.minus_naive is not None]
            marks = [mark(g) for g in gaps]
            some = f"{marks.count(BETTER)}, {marks.count(WORSE)}"
            cells.append(some if gaps else "–")
        lines.append(f"| {method} | {len(sections)} | {' | '.join(cells)} | {failed or ''} |")
    return lines


def matrix(found: Sequence[Section], metric: str, title: str) -> list[str]:
    """Lay out one measure minus naive's, a method a row and a scenario a column; naive's own value first."""
    found = [s for s in found if s.figure(NAIVE, metric)]
    if not found:
        return []
    head = f"| method | {' | '.join(_columns(found))} |"
    lines = [
        "",
        f"### {title}: {MEASURES[metric]} minus naive's",
        "",
        head,
        f"|---{'|---:' * len(found)}|",
    ]
    for method in _methods(found):
        cells = [_cell(s, method, metric) for s in found]
        if any(cells):
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def mark(gap: Estimate | None) -> str:
    """Say on which side of 0 an interval lies, if on one."""
    if gap is None or gap.low is None or gap.high is None:
        return ""
    return BETTER if gap.low > 0 else WORSE if gap.high < 0 else ""


def _cell(section: Section, method: str, metric: str) -> str:
    """Give the figure, how it compares, and the seeds that failed."""
    figure = section.figure(method, metric)
    lost = sum(r["status"] == "failed" and r["method"] == method for r in section.rows)
    note = f" ({lost} failed)" if lost else ""
    if figure is None or figure.value is None:
        return note.strip(" ()")
    if method == NAIVE:
        return f"({figure.value.value:.3f})" + note
    gap = figure.minus_naive
    return (f"{gap.value:+.3f} {mark(gap)}".strip() if gap else "–") + note


def _columns(found: Sequence[Section]) -> list[str]:
    """Name scenarios by their mechanism, and by what else sets them apart."""
    names = [s.settings["mechanism"] for s in found]
    apart = [k for k in ("alpha", "rate", "rho_01", "rho_10", "gold") if _varies(found, k)]
    return [
        " ".join([n, *(f"{k} {s.settings[k]}" for k in apart)]) if names.count(n) > 1 else n
        for n, s in zip(names, found, strict=True)
    ]


def _varies(found: Sequence[Section], key: str) -> bool:
    """Whether a setting differs between scenarios of one mechanism."""
    values: dict[str, set[object]] = {}
    for s in found:
        values.setdefault(s.settings["mechanism"], set()).add(s.settings[key])
    return any(len(v) > 1 for v in values.values())


def _methods(found: Sequence[Section]) -> list[str]:
    """Every method, the brackets first, in the order of the config."""
    every = dict.fromkeys(r["method"] for s in found for r in s.rows)
    first = [m for m in (ORACLE, CLEAN, NAIVE) if m in every]
    return [*first, *(m for m in every if m not in first)]
