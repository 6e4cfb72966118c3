"""From rows to figures: every method in every scenario, over seeds, against naive and clean-mcar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.simulation import PREDICTIONS

from .entries import CLEAN, NAIVE
from .intervals import mean, share
from .work import METRICS, ON_GOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueward.core.estimate import Estimate

    from .folder import Runs
    from .jobs import Row

SCENARIO = ("set", "mechanism", "alpha", "rate", "rho_01", "rho_10", "gold", "more")
OBSERVABLE, ON_TEST = "observable criterion", "selected on test"
AVERAGE = "mean"  # over the matrices of predictions


@dataclass(frozen=True)
class Figure:
    """One metric of one method in one scenario."""

    method: str
    metric: str
    selection: str  # what chose the trial; `selected on test` is what the papers did
    seeds: int  # that finished
    value: Estimate | None
    minus_naive: Estimate | None
    recovered: Estimate | None  # (method - naive) / (clean-mcar - naive)

    def to_json(self) -> dict[str, Any]:
        """Give plain columns."""
        out: dict[str, Any] = {k: getattr(self, k) for k in ("method", "metric", "selection")}
        out["seeds"] = self.seeds
        for name in ("value", "minus_naive", "recovered"):
            found: Estimate | None = getattr(self, name)
            out[name] = found.value if found else None
            out[f"{name}_low"] = found.low if found else None
            out[f"{name}_high"] = found.high if found else None
        return out


@dataclass(frozen=True)
class Section:
    """One scenario: its settings, its figures, and the jobs that have none."""

    settings: dict[str, Any]
    rows: list[Row]
    figures: list[Figure]

    def lost(self, status: str) -> dict[str, list[str]]:
        """Methods by the reason of their jobs with ``status``; the seeds where it is not all."""
        seeds: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            if row["status"] == status:
                seeds.setdefault((row["reason"], row["method"]), []).append(row["seed"])
        found: dict[str, list[str]] = {}
        for (reason, method), which in seeds.items():
            every = {r["seed"] for r in self.rows if r["method"] == method}
            some = "" if len(which) == len(every) else f" (seed {', '.join(map(str, which))})"
            found.setdefault(reason, []).append(method + some)
        return found

    def figure(self, method: str, metric: str, selection: str = OBSERVABLE) -> Figure | None:
        """Give one figure, if there is one."""
        wanted = (method, metric, selection)
        return next((f for f in self.figures if (f.method, f.metric, f.selection) == wanted), None)

    def labels(self, method: str) -> float | None:
        """Mean number of labels that a method was trained on."""
        counts = [r["labels"] for r in self.rows if r["method"] == method and "labels" in r]
        return sum(counts) / len(counts) if counts else None


def metrics_of(runs: Runs) -> tuple[str, ...]:
    """Give the metrics of a run, the one that differences are shown of first."""
    config = runs.about["config"]
    if config["kind"] == "predictions":
        return (AVERAGE, *(name.lower() for name in PREDICTIONS))
    gold = config["gold"] or any(s["gold"] for s in config["scenarios"])
    return ("r2", *((ON_GOLD,) if gold else ()), *(m for m in METRICS if m != "r2"))


def sections(runs: Runs) -> list[Section]:
    """Give every scenario that has a row, in the order of the config."""
    config, metrics = runs.about["config"], metrics_of(runs)
    place = {s["label"]: k for k, s in enumerate(config["sets"])}
    order = [_where(s) for s in config["scenarios"]]
    methods = [m["label"] for m in config["methods"]]
    groups: dict[str, list[Row]] = {}
    for row in runs.rows():
        groups.setdefault(json.dumps([row[k] for k in SCENARIO]), []).append(row)

    def at(rows: list[Row]) -> tuple[int, int]:
        where = _where(rows[0])
        return place[rows[0]["set"]], order.index(where) if where in order else 0

    return [
        Section(
            {k: rows[0][k] for k in SCENARIO},
            sorted(rows, key=lambda r: (methods.index(r["method"]), r["seed"])),
            _figures(rows, methods, metrics),
        )
        for rows in sorted(groups.values(), key=at)
    ]


def _where(s: dict[str, Any]) -> list[Any]:
    return [s[k] for k in SCENARIO if k != "set"]


def _figures(rows: list[Row], methods: Sequence[str], metrics: Sequence[str]) -> list[Figure]:
    found = []
    for source, selection in (("metrics", OBSERVABLE), ("on_test", ON_TEST)):
        table: dict[str, dict[int, dict[str, Any]]] = {m: {} for m in methods}
        for row in rows:
            if row.get(source):
                table[row["method"]][row["seed"]] = row[source]
        if any(table.values()):
            found += [_figure(table, m, k, selection) for m in methods if table[m] for k in metrics]
    return found


def _figure(
    table: dict[str, dict[int, dict[str, Any]]], method: str, metric: str, selection: str
) -> Figure:
    """Take mean, difference and share over the seeds that finished in all that is compared."""

    def values(name: str) -> dict[int, float]:
        seeds = table.get(name, {}).items()
        return {s: v[metric] for s, v in seeds if v.get(metric) is not None}

    mine, naive, clean = values(method), values(NAIVE), values(CLEAN)
    both = sorted(mine.keys() & naive.keys())
    three = sorted(set(both) & clean.keys())
    return Figure(
        method=method,
        metric=metric,
        selection=selection,
        seeds=len(mine),
        value=mean([mine[s] for s in sorted(mine)]),
        minus_naive=None if method == NAIVE else mean([mine[s] - naive[s] for s in both]),
        recovered=None
        if method in (NAIVE, CLEAN)
        else share([mine[s] - naive[s] for s in three], [clean[s] - naive[s] for s in three]),
    )
