"""The rows of a benchmark as points for trackers: one point a finished job, in the order of finishing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trueward.core.tracking import Trackers

from .stored import SCENARIO

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from .jobs import Row
    from .runs import Runs

#: columns that name a scenario where the scenarios of a benchmark differ in them
BESIDE_MECHANISM = [name for name in SCENARIO if name != "mechanism"]


class _Points:
    """Points ``SET/SCENARIO/METHOD/METRIC`` of one job after the other; the step is their number."""

    def __init__(self, runs: Runs) -> None:
        scenarios = (runs.about.get("config") or {}).get("scenarios", ())
        values = {k: {json.dumps(s.get(k)) for s in scenarios} for k in BESIDE_MECHANISM}
        self._varying = [k for k, different in values.items() if len(different) > 1]
        self._counts = {"done": 0, "failed": 0, "not applicable": 0}

    def of(self, row: Row) -> dict[str, Any]:
        self._counts[row["status"]] = self._counts.get(row["status"], 0) + 1
        differs = " ".join(f"{k} {_text(row.get(k))}" for k in self._varying)
        name = "/".join([row["set"], f"{row['mechanism']} {differs}".strip(), row["method"]])
        metrics = row.get("metrics") or {}
        return {
            "step": sum(self._counts.values()),
            **{f"jobs/{k}": n for k, n in self._counts.items()},
            **{f"{name}/{k}": v for k, v in metrics.items()},
        }


def tracked(
    rows: Iterable[Row], runs: Runs, trackers: Sequence[str], again: Container[str]
) -> Iterator[Row]:
    """Pass on rows; trackers get the jobs that were finished before, and each of these.

    Parameters
    ----------
    rows : iterable of dict
        Rows of jobs as they finish.
    runs : Runs
        Folder of the run.
    trackers : sequence of str
        Names of trackers.
    again : container of str
        Keys of the jobs that run now.

    Yields
    ------
    dict
        The same rows.

    """
    points = _Points(runs)
    before = [row for row in _finished(runs) if row["key"] not in again]
    with Trackers(trackers, runs.folder.resolve().name, runs.about) as open_trackers:
        for row in before:
            open_trackers.log(points.of(row))
        for row in rows:
            open_trackers.log(points.of(row))
            yield row


def metric_points(runs: Runs) -> list[dict[str, Any]]:
    """Return the points of all finished jobs.

    Parameters
    ----------
    runs : Runs
        Folder of the run.

    """
    points = _Points(runs)
    return [points.of(row) for row in _finished(runs)]


def _finished(runs: Runs) -> list[Row]:
    """Rows of the finished jobs in the order in which they were stored."""
    rows = runs.rows()
    at = {row["key"]: runs.file(row["key"]).stat().st_mtime_ns for row in rows}
    return sorted(rows, key=lambda row: (at[row["key"]], row["key"]))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else json.dumps(value)
