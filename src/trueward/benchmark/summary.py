"""Summaries over seeds: each metric of each method and scenario, against naive and clean-mcar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from trueward.core.estimate import Estimate
from trueward.simulation import PREDICTIONS

from .entries import CLEAN, NAIVE
from .metrics import METRICS, ON_GOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .jobs import Row
    from .runs import Runs

#: Columns of a row that identify the scenario.
SCENARIO = ("set", "mechanism", "alpha", "rate", "rho_01", "rho_10", "gold", "more")
#: What selected the trial; the papers select on the test set.
OBSERVABLE, ON_TEST = "observable criterion", "selected on test"
#: Mean over the synthetic predictions.
AVERAGE = "mean"


@dataclass(frozen=True)
class Figure:
    """One metric of one method in one scenario, with 95 % intervals over seeds.

    Attributes
    ----------
    method, metric : str
        Label of the method and name of the metric.
    selection : str
        What selected the trial: `OBSERVABLE` or `ON_TEST`.
    seeds : int
        Number of finished seeds.
    value : Estimate or None
        Mean of the metric.
    minus_naive : Estimate or None
        Mean of the paired difference to naive.
    recovered : Estimate or None
        (method - naive) / (clean-mcar - naive).

    """

    method: str
    metric: str
    selection: str
    seeds: int
    value: Estimate | None
    minus_naive: Estimate | None
    recovered: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Return plain columns."""
        out: dict[str, Any] = {k: getattr(self, k) for k in ("method", "metric", "selection")}
        out["seeds"] = self.seeds
        for name in ("value", "minus_naive", "recovered"):
            estimate: Estimate | None = getattr(self, name)
            out[name] = estimate.value if estimate else None
            out[f"{name}_low"] = estimate.low if estimate else None
            out[f"{name}_high"] = estimate.high if estimate else None
        return out


@dataclass(frozen=True)
class Section:
    """One scenario.

    Attributes
    ----------
    settings : dict
        The columns `SCENARIO`.
    rows : list of dict
        Rows of its jobs.
    figures : list of Figure
        One for each method, metric and selection.

    """

    settings: dict[str, Any]
    rows: list[Row]
    figures: list[Figure]

    def lost(self, status: str) -> dict[str, list[str]]:
        """Return the methods with jobs of a status, by reason.

        Parameters
        ----------
        status : str
            ``failed`` or ``not applicable``.

        Returns
        -------
        dict of str to list of str
            Reason -> labels of methods, with the seeds if not all seeds are concerned.

        """
        seeds: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            if row["status"] == status:
                seeds.setdefault((row["reason"], row["method"]), []).append(row["seed"])
        methods: dict[str, list[str]] = {}
        for (reason, method), which in seeds.items():
            every = {r["seed"] for r in self.rows if r["method"] == method}
            some = "" if len(which) == len(every) else f" (seed {', '.join(map(str, which))})"
            methods.setdefault(reason, []).append(method + some)
        return methods

    def figure(self, method: str, metric: str, selection: str = OBSERVABLE) -> Figure | None:
        """Return one figure.

        Parameters
        ----------
        method, metric : str
            Label of the method and name of the metric.
        selection : str
            `OBSERVABLE` or `ON_TEST`.

        Returns
        -------
        Figure or None
            None if there is no such figure.

        """
        key = (method, metric, selection)
        return next((f for f in self.figures if (f.method, f.metric, f.selection) == key), None)

    def labels(self, method: str) -> float | None:
        """Return the mean number of training labels of a method, or None."""
        counts = [r["labels"] for r in self.rows if r["method"] == method and "labels" in r]
        return sum(counts) / len(counts) if counts else None


def metrics_of(runs: Runs) -> tuple[str, ...]:
    """Return the metrics of a run; the first is the one that methods are compared by.

    Parameters
    ----------
    runs : Runs
        Folder of the run.

    """
    config = runs.about["config"]
    if config["kind"] == "predictions":
        return (AVERAGE, *(name.lower() for name in PREDICTIONS))
    gold = config["gold"] or any(s["gold"] for s in config["scenarios"])
    return ("r2", *((ON_GOLD,) if gold else ()), *(m for m in METRICS if m != "r2"))


def sections(runs: Runs) -> list[Section]:
    """Return the scenarios that have a row, in the order of the config.

    Parameters
    ----------
    runs : Runs
        Folder of the run.

    Returns
    -------
    list of Section

    """
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
    figures = []
    for source, selection in (("metrics", OBSERVABLE), ("on_test", ON_TEST)):
        table: dict[str, dict[int, dict[str, Any]]] = {m: {} for m in methods}
        for row in rows:
            if row.get(source):
                table[row["method"]][row["seed"]] = row[source]
        if any(table.values()):
            figures += [
                _figure(table, m, k, selection) for m in methods if table[m] for k in metrics
            ]
    return figures


def _figure(
    table: dict[str, dict[int, dict[str, Any]]], method: str, metric: str, selection: str
) -> Figure:
    """Return the mean, the paired difference and the share, over the seeds of all compared methods."""

    def values(name: str) -> dict[int, float]:
        seeds = table.get(name, {}).items()
        return {s: v[metric] for s, v in seeds if v.get(metric) is not None}

    own, naive, clean = values(method), values(NAIVE), values(CLEAN)
    both = sorted(own.keys() & naive.keys())
    three = sorted(set(both) & clean.keys())
    return Figure(
        method=method,
        metric=metric,
        selection=selection,
        seeds=len(own),
        value=mean([own[s] for s in sorted(own)]),
        minus_naive=None if method == NAIVE else mean([own[s] - naive[s] for s in both]),
        recovered=None
        if method in (NAIVE, CLEAN)
        else share([own[s] - naive[s] for s in three], [clean[s] - naive[s] for s in three]),
    )


def mean(values: Sequence[float]) -> Estimate | None:
    """Return mean ± t sd / sqrt(n), with t the 97.5 % quantile of n - 1 degrees of freedom.

    Parameters
    ----------
    values : sequence of float
        Independent values.

    Returns
    -------
    Estimate or None
        None without values; without interval for one value.

    """
    v = np.asarray(values, dtype=np.float64)
    if not len(v):
        return None
    m = float(v.mean())
    if len(v) < 2:
        return Estimate(m)
    half = float(stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v)))
    return Estimate(m, m - half, m + half)


def share(part: Sequence[float], gap: Sequence[float]) -> Estimate | None:
    """Return mean(part) / mean(gap) of paired values with Fieller's 95 % interval.

    Parameters
    ----------
    part, gap : sequence of float, equally long
        Paired values.

    Returns
    -------
    Estimate or None
        None if there are fewer than two values, or if the interval of mean(gap) contains 0.

    References
    ----------
    Fieller, E. C. (1954). Some problems in interval estimation. JRSS B 16.

    Examples
    --------
    >>> round(share([1.0, 1.2, 0.8], [2.0, 2.1, 1.9]).value, 2)
    0.5

    """
    a, b = np.asarray(part, dtype=np.float64), np.asarray(gap, dtype=np.float64)
    n = len(a)
    if n < 2:
        return None
    t2 = float(stats.t.ppf(0.975, n - 1)) ** 2
    (va, vab), (_, vb) = np.cov(a, b) / n
    ma, mb = float(a.mean()), float(b.mean())
    # the ratios q with (ma - q mb)^2 <= t^2 (va - 2 q vab + q^2 vb)
    lead = mb**2 - t2 * float(vb)
    if lead <= 0:
        return None
    middle = ma * mb - t2 * float(vab)
    inside = middle**2 - lead * (ma**2 - t2 * float(va))
    half = float(np.sqrt(max(0.0, inside)))
    return Estimate(ma / mb, (middle - half) / lead, (middle + half) / lead)
