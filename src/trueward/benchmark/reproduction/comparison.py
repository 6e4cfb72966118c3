"""Our figures of a paper's experiment, by protocol and choice, beside the published ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.benchmark.protocols import AS_PUBLISHED, ON_TEST, chosen
from trueward.benchmark.summary import mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trueward.benchmark.jobs import Row as JobRow
    from trueward.core.estimate import Estimate

    from .experiments import Settings
    from .methods import Row

#: Metrics that are compared; rmse is the root of the Brier score.
METRICS = ("r2", "mae", "auroc", "rmse", "brier")
#: What the column of the verdict says without an interval over seeds.
NO_INTERVAL, NOT_COMPARABLE = "one seed, no interval", "not comparable"


@dataclass(frozen=True)
class Figures:
    """All figures of the two runs of a reproduction.

    Attributes
    ----------
    values : dict
        (protocol, set, rho_01, rho_10, label, choice, metric) -> {seed: value}.
    lost : dict
        (protocol, status, reason) -> labels of the jobs without figures.
    deleted : tuple of int
        Trials as published with R2 of at most 0 on the test, which the authors' notebook deletes, of all.

    """

    values: dict[tuple[Any, ...], dict[int, float]]
    lost: dict[tuple[str, str, str], list[str]]
    deleted: tuple[int, int]

    def by_seed(
        self, protocol: str, where: Mapping[str, Any], label: str, choice: str, metric: str
    ) -> dict[int, float]:
        """Return a metric by seed.

        Parameters
        ----------
        protocol, label, choice, metric : str
            What is asked for.
        where : mapping
            set, rho_01 and rho_10.

        """
        key = (protocol, where["set"], where["rho_01"], where["rho_10"], label, choice, metric)
        return self.values.get(key, {})

    def figure(
        self, protocol: str, where: Mapping[str, Any], label: str, choice: str, metric: str
    ) -> Estimate | None:
        """Return the mean of a metric over the seeds, with its 95 % interval.

        Parameters
        ----------
        protocol, label, choice, metric : str
            What is asked for.
        where : mapping
            set, rho_01 and rho_10.

        """
        return mean(list(self.by_seed(protocol, where, label, choice, metric).values()))

    def over_naive(
        self, protocol: str, where: Mapping[str, Any], label: str, choice: str, metric: str
    ) -> Estimate | None:
        """Return the mean difference of a method to naive, paired by seed.

        Parameters
        ----------
        protocol, label, choice, metric : str
            What is asked for.
        where : mapping
            set, rho_01 and rho_10.

        """
        own = self.by_seed(protocol, where, label, choice, metric)
        naive = self.by_seed(protocol, where, "naive", choice, metric)
        return mean([own[s] - naive[s] for s in sorted(own.keys() & naive.keys())])

    def gain(
        self, protocol: str, labels: Iterable[str], where: Mapping[str, Any], one: str, other: str
    ) -> Estimate | None:
        """Return the mean difference in R2 between two choices of the same trials.

        Parameters
        ----------
        protocol, one, other : str
            The protocol, and two of `CHOICES`.
        labels : iterable of str
            Methods over which the difference is averaged, by seed.
        where : mapping
            set, rho_01 and rho_10.

        """
        seeds: dict[int, list[float]] = {}
        for label in labels:
            a = self.by_seed(protocol, where, label, one, "r2")
            b = self.by_seed(protocol, where, label, other, "r2")
            for seed in a.keys() & b.keys():
                seeds.setdefault(seed, []).append(a[seed] - b[seed])
        return mean([sum(v) / len(v) for _, v in sorted(seeds.items())])


def figures_of(rows: Mapping[str, Sequence[JobRow]], choices: Sequence[str]) -> Figures:
    """Return the figures of finished jobs.

    Parameters
    ----------
    rows : mapping of str to sequence of dict
        Rows of the run of each protocol.
    choices : sequence of str
        The choices of trials, of `CHOICES`.

    Returns
    -------
    Figures

    """
    values: dict[tuple[Any, ...], dict[int, float]] = {}
    lost: dict[tuple[str, str, str], list[str]] = {}
    failed = total = 0
    for protocol, jobs in rows.items():
        for job in jobs:
            if job["status"] != "done":
                where = f"{job['set']} {job['method']} seed {job['seed']}"
                lost.setdefault((protocol, job["status"], job["reason"]), []).append(where)
                continue
            if protocol == AS_PUBLISHED:
                r2 = [t["metrics"]["r2"] for t in job["tried"]]
                failed, total = failed + sum(v is None or v <= 0 for v in r2), total + len(r2)
            for choice in choices:
                found = chosen(job["tried"], choice) or {}
                if found.get("brier") is not None:
                    found["rmse"] = math.sqrt(found["brier"] or 0.0)
                for metric in METRICS:
                    if (value := found.get(metric)) is not None:
                        key = (protocol, job["set"], job["rho_01"], job["rho_10"], job["method"])
                        values.setdefault((*key, choice, metric), {})[job["seed"]] = value
    return Figures(values, lost, (failed, total))


def agreement(published: float | None, ours: Estimate | None, differs: Sequence[str]) -> str:
    """Return whether a published figure lies in the interval of ours over the seeds.

    Parameters
    ----------
    published : float or None
        The published figure.
    ours : Estimate or None
        Mean over seeds with its 95 % interval.
    differs : sequence of str
        What differs between our run and the published one; empty if they can be compared.

    Returns
    -------
    str
        A dash without one of the figures.

    Examples
    --------
    >>> from trueward.core.estimate import Estimate
    >>> agreement(0.30, Estimate(0.28, 0.25, 0.31), [])
    'yes'
    >>> agreement(0.30, Estimate(0.20, 0.15, 0.25), [])
    'no: ours is lower by 0.100'
    >>> agreement(0.30, Estimate(0.20, 0.15, 0.25), ["backbone"])
    'not comparable'

    """
    if published is None or ours is None or ours.value is None:
        return "–"
    if differs:
        return NOT_COMPARABLE
    if ours.low is None or ours.high is None:
        return NO_INTERVAL
    if ours.low <= published <= ours.high:
        return "yes"
    gap = ours.value - published
    return f"no: ours is {'higher' if gap > 0 else 'lower'} by {abs(gap):.3f}"


def published_figure(
    figures: Figures, row: Row, where: Mapping[str, Any], metric: str
) -> Estimate | None:
    """Return our figure by the published protocol: rows split as published, chosen on test labels.

    Parameters
    ----------
    figures : Figures
        All figures.
    row : Row
        Row of the paper's table.
    where : mapping
        set, rho_01 and rho_10.
    metric : str
        The metric.

    """
    return figures.figure(AS_PUBLISHED, where, row.label(AS_PUBLISHED), ON_TEST, metric)


def differences(
    settings: Settings, name: str, *, complete: bool, papers_backbone: bool
) -> list[str]:
    """Return what makes our figures of a set not comparable with the published ones.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    name : str
        The paper's set.
    complete : bool
        Whether the files hold the whole set.
    papers_backbone : bool
        Whether the backbone is that of the papers' code.

    Returns
    -------
    list of str

    """
    read = settings.sets[name]
    found = []
    if read != name:
        found.append(f"the set {read} was read in place of {name}")
    elif not complete:
        found.append("the files do not hold the whole set")
    if settings.rows is not None:
        found.append(f"at most {settings.rows:,} rows were used")
    if not papers_backbone:
        found.append(f"the backbone is {settings.backbone}")
    return found
