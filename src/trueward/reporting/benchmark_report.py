"""Report of a benchmark: a table for every scenario, and a figure while the page has room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.benchmark.summary import metrics_of, sections
from trueward.benchmark.table import NAMES, markdown
from trueward.core.errors import TruewardError
from trueward.evaluation.plotting import intervals

from .charts import figure
from .page import Code, Markdown, Page, Prose, Section

if TYPE_CHECKING:
    from trueward.benchmark import Runs
    from trueward.benchmark.summary import Section as Scenario

    from .page import Block

LARGEST = 5_000_000  # bytes of a page
LOWEST = -1.0  # R2 below this is drawn here
TOGETHER = 3  # largest number of scenarios that are shown unfolded


def benchmark_page(runs: Runs, *, command: str | None) -> Page:
    """Build the report of a benchmark: one section a scenario, with the text of `trueward benchmark table`.

    Parameters
    ----------
    runs : Runs
        Results of a benchmark.
    command : str or None
        Command that reproduces the page.

    Returns
    -------
    Page
        The report; figures are left out where the page would exceed 5 MB.

    Raises
    ------
    TruewardError
        If no job has finished.

    """
    scenarios = sections(runs)
    if not scenarios:
        raise TruewardError(
            f"{runs.folder} has no finished job yet: continue with `trueward benchmark run`"
        )
    head, *parts = markdown(runs, scenarios).split("\n## ")
    title, _, about = head.removeprefix("# ").partition("\n")
    texts = [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
    general, own = texts[: -len(scenarios)], texts[-len(scenarios) :]
    page = [Section("About", [Markdown(about)])]
    page += [Section(name, [Markdown(text)]) for name, text in general]
    room = LARGEST - 2 * sum(len(text) for _, text in texts) - 50_000
    for scenario, (name, text) in zip(scenarios, own, strict=True):
        drawn, room = _drawn(scenario, metrics_of(runs)[0], room)
        page.append(Section(name, [*drawn, Markdown(text)], folded=len(scenarios) > TOGETHER))
    if command:
        page.append(Section("Reproduce", [Prose("This page:"), Code(command)]))
    return Page(title, f"{len(scenarios)} scenarios, {len(runs.rows()):,} jobs.", page)


def _drawn(scenario: Scenario, metric: str, room: int) -> tuple[list[Block], int]:
    """The figure of a scenario, and the bytes that remain on the page."""
    rows: list[dict[str, Any]] = []
    for f in scenario.figures:
        if f.metric != metric or f.value is None or f.selection != "observable criterion":
            continue
        value = f.value.value
        if value is None:
            continue
        low, high = (value if v is None else v for v in (f.value.low, f.value.high))
        if metric == "r2":
            low, value, high = (max(LOWEST, v) for v in (low, value, high))
        rows.append({"name": f.method, "value": value, "low": low, "high": high})
    if not rows:
        return [], room
    what = NAMES[metric][:-2]
    below = (
        f"; values below {LOWEST:g} are drawn at {LOWEST:g}"
        if any(r["low"] == LOWEST for r in rows)
        else ""
    )
    block = figure(intervals, rows, what, caption=f"{what} with 95 % intervals over seeds{below}")
    size = len(block.svg or "") + 150 * len(rows)
    if size > room:
        return [
            Prose("No figure: the page would become too large. The table has all values.")
        ], room
    return [block], room - size
