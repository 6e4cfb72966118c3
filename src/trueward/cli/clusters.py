"""`--ray [ADDRESS]` and `--num-gpus` of the commands that run on a Ray cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trueward.core.ray_cluster import Cluster

#: a word after --ray that is its address; any other is the next argument, and the cluster is a local one
ADDRESS = re.compile(r"local|auto|ray://.*|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Work on a Ray cluster: HOST:PORT, ray://HOST:PORT or auto; without an address one is started "
        "on this machine.",
    ),
]
NumGpus = Annotated[
    float,
    typer.Option("--num-gpus", help="With --ray: GPUs of each actor; .5: two actors share one."),
]


def with_address(words: Iterable[str]) -> list[str]:
    """Give ``--ray`` its address where it stands alone: that of a cluster on this machine."""
    given = list(words)
    alone = [
        word == "--ray" and not ADDRESS.fullmatch((given[k + 1 :] or [""])[0])
        for k, word in enumerate(given)
    ]
    return ["--ray=local" if bare else word for word, bare in zip(given, alone, strict=True)]


def cluster_of(ray: str | None, num_gpus: float, **others: bool) -> Cluster | None:
    """Return the cluster of the options; refuse it beside other ways to share the work."""
    if ray is None:
        if num_gpus:
            raise UsageError("--num-gpus is a number of GPUs of an actor of Ray: give --ray, too")
        return None
    from trueward.core.ray_cluster import Cluster

    for name, given in others.items():
        if given:
            raise UsageError(f"--ray and --{name} are two ways to share the work: give one of them")
    return Cluster(ray, num_gpus)
