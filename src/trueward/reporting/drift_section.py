"""Section of a report on what has changed since a reference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .page import Page, Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.production.monitoring import Drift, Monitor

    from .page import Block

MEANING = {
    "traffic": "how well prompts tell new from reference (AUROC)",
    "behaviour": "reactions to the same responses, as a ratio",
    "quality": "mean reward of the responses to the same prompts, change",
    "calibration": "share of good among the same responses, change",
}


def with_drift(page: Page, drift: Monitor) -> Page:
    """Return a report with a section on drifts behind its summary.

    Parameters
    ----------
    page : Page
        The report.
    drift : Monitor
        Result of `trueward.monitor`.

    Returns
    -------
    Page
        A new page.

    """
    section = Section("What has changed", list(_blocks(drift)))
    return replace(page, sections=[*page.sections[:1], section, *page.sections[1:]])


def _blocks(drift: Monitor) -> Iterator[Block]:
    newest = drift.periods[-1]
    if drift.fires:
        said = f"Beyond tolerance: {', '.join(drift.fires)}. Fit the model again on the new log."
    elif drift.detected:
        said = f"Changed, within tolerance: {', '.join(drift.detected)}."
    else:
        said = "No change beyond chance."
    yield Prose(said)
    yield Table(
        f"Drifts at the period of {newest.name}; all intervals of all looks hold together with "
        f"{100 * (1 - drift.alpha):g} % probability",
        ["drift", "meaning", "value", "interval", "unchanged", "since", "verdict"],
        [_row(drift[name], meaning) for name, meaning in MEANING.items()],
        frozenset({0, 1, 5, 6}),
    )
    yield Table(
        f"Every {drift.by or 'period'} by itself",
        [drift.by or "period", "rows", "ratings", *MEANING],
        [
            [p.name, f"{p.rows:,}", f"{p.ratings:,}", *(_number(p.drifts[k]) for k in MEANING)]
            for p in drift.periods
        ],
    )
    for warning in drift.warnings:
        yield Prose(f"Note: {warning}.")


def _row(d: Drift, meaning: str) -> list[str]:
    span = "-" if d.low is None or d.high is None else f"{d.low:.3f} to {d.high:.3f}"
    return [d.name, meaning, _number(d), span, f"{d.unchanged:g}", d.since, d.verdict]


def _number(d: Drift) -> str:
    return "-" if d.value is None else f"{d.value:.3f}"
