"""The report of a benchmark: every scenario with its table, and a figure while there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.benchmark.summary import metrics_of, sections
from trueward.benchmark.table import NAMES, markdown
from trueward.core.errors import TruewardError
from trueward.plotting import spans

from .charts import figure
from .page import Code, Page, Prose, Section, Written

if TYPE_CHECKING:
    from trueward.benchmark import Runs
    from trueward.benchmark.summary import Section as Scenario

    from .page import Block

LARGEST = 5_000_000  # bytes of a page
LOWEST = -1.0  # of R2, which has no lower end: what is below is drawn here
TOGETHER = 3  # scenarios or fewer are shown unfolded


def of_runs(runs: Runs, *, command: str | None) -> Page:
    """One section a scenario, as `trueward benchmark table` has it."""
    found = sections(runs)
    if not found:
        raise TruewardError(
            f"{runs.folder} has no finished job yet: go on with `trueward benchmark run`, then ask again"
        )
    head, *parts = markdown(runs, found).split("\n## ")
    title, _, about = head.removeprefix("# ").partition("\n")
    texts = [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]
    general, own = texts[: -len(found)], texts[-len(found) :]
    page = [Section("About", [Written(about)])]
    page += [Section(name, [Written(text)]) for name, text in general]
    room = LARGEST - 2 * sum(len(text) for _, text in texts) - 50_000
    for scenario, (name, text) in zip(found, own, strict=True):
        drawn, room = _drawn(scenario, metrics_of(runs)[0], room)
        page.append(Section(name, [*drawn, Written(text)], folded=len(found) > TOGETHER))
    if command:
        page.append(Section("Get it again", [Prose("This page:"), Code(command)]))
    return Page(title, f"{len(found)} scenarios, {len(runs.rows()):,} jobs.", page)


def _drawn(scenario: Scenario, metric: str, room: int) -> tuple[list[Block], int]:
    """The figure of a scenario, and what room it leaves on the page."""
    rows: list[dict[str, Any]] = []
    for f in scenario.figures:
        if f.metric != metric or f.selection != "observable criterion":
            continue
        if f.value is None or f.value.value is None:
            continue
        ends = (f.value.low, f.value.value, f.value.high)
        low, value, high = (f.value.value if v is None else v for v in ends)
        if metric == "r2":
            low, value, high = (max(LOWEST, v) for v in (low, value, high))
        rows.append({"name": f.method, "value": value, "low": low, "high": high})
    if not rows:
        return [], room
    what = NAMES[metric][:-2]
    below = f"; below {LOWEST:g} drawn there" if any(r["low"] == LOWEST for r in rows) else ""
    block = figure(spans, rows, what, caption=f"{what} with 95 % intervals over seeds{below}")
    size = len(block.svg or "") + 150 * len(rows)
    if size > room:
        return [
            Prose("No figure: the page would become too large. The table has everything.")
        ], room
    return [block], room - size
