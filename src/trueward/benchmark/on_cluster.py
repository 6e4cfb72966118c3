"""Run the units of a benchmark in processes of a Ray cluster; rows are stored as they come."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.core.ray_actors import DIED

from .jobs import Row, Unit, killed
from .work import run_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trueward.core.ray_cluster import Cluster

    from .runs import Runs


def on_cluster(cluster: Cluster, units: Sequence[Unit], runs: Runs) -> Iterator[Row]:
    """Run units on a cluster.

    A unit whose process died each time is repeated job by job, to find the job that ends the process.

    Parameters
    ----------
    cluster : Cluster
        The cluster.
    units : sequence of Unit
        What to run.
    runs : Runs
        Where the row of each finished job is stored.

    Yields
    ------
    dict
        Each row, after it is on disk.

    """
    again: list[Unit] = []
    for number, rows in cluster.calls(_rows, units):
        unit = units[number]
        if rows is None and len(unit.jobs) > 1:
            again += [Unit((job,), unit.folder) for job in unit.jobs]
            continue
        for row in rows or [killed(unit.jobs[0], DIED)]:
            runs.write(row)
            yield row
    if again:
        yield from on_cluster(cluster, again, runs)


def _rows(unit: Unit) -> list[Row]:
    if not Path(unit.folder).is_dir():
        raise TruewardError(
            f"the node {socket.gethostname()} does not see {unit.folder}, the prepared set: set "
            "TRUEWARD_CACHE to a folder that all nodes share"
        )
    return [row for _, row in run_unit(unit)]
