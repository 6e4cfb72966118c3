"""Work on a Ray cluster (the extra `scale`): pools of actors, and calls in processes of it."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .arguments import described
from .errors import TruewardError, UsageError
from .ray_actors import TRIES, Actor, Attempts, called, result_of
from .ray_connection import LOCAL, imported, in_sentences, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOG = logging.getLogger("trueward")


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster to work on.

    Attributes
    ----------
    address : str, default "local"
        ``local``: one on this machine, for this call; ``auto``: the one that this machine belongs to;
        ``HOST:PORT`` or ``ray://HOST:PORT``: another.
    num_gpus : float, default 0
        GPUs of one actor; a fraction shares a GPU.

    Raises
    ------
    UsageError
        If ``num_gpus`` is negative.

    Examples
    --------
    >>> Cluster("head:6379", num_gpus=0.5).address
    'head:6379'

    """

    address: str = LOCAL
    num_gpus: float = 0.0

    @staticmethod
    def of(ray: Cluster | str | None) -> Cluster | None:
        """Return the cluster of an argument ``ray``: an address, a cluster, or None for no cluster."""
        if ray is not None and not isinstance(ray, str | Cluster):
            raise UsageError(
                f"ray takes an address such as 'local', or a Cluster, not {described(ray)}"
            )
        return Cluster(ray) if isinstance(ray, str) else ray

    def __post_init__(self) -> None:
        if not 0 <= self.num_gpus < float("inf"):
            raise UsageError(f"--num-gpus must be 0 or more, found {self.num_gpus:g}")

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        """Connect, and disconnect at the end; a connection of the calling program is used and kept.

        Yields
        ------
        module
            The module ``ray``.

        Raises
        ------
        TruewardError
            If Ray is not installed, the address does not answer or runs other versions, or the cluster has
            too few GPUs.

        """
        ray = imported()
        if ray.is_initialized():
            self._require_gpus(ray)
            yield ray
            return
        start(ray, self.address)
        try:
            self._require_gpus(ray)
            yield ray
        finally:
            ray.shutdown()

    def results(
        self, begin: Callable[[], Callable[[Any], Any]], items: Sequence[Any]
    ) -> Iterator[Any]:
        """Work on items in a pool of actors, and yield each result when it is there.

        An actor holds what ``begin`` returned, such as a model. An item whose actor died is given to another
        one, at most three times.

        Parameters
        ----------
        begin : callable
            Called once in each actor; returns what is called with each item.
        items : sequence
            What JSON can hold.

        Yields
        ------
        object
            The results, which JSON can hold, in the order in which they are finished.

        Raises
        ------
        TruewardError
            The error of an item, or of actors that cannot work; results before it have been yielded.

        """
        if not items:
            return
        with self.connected() as ray, in_sentences():
            data = importlib.import_module("ray.data")
            data.DataContext.get_current().enable_progress_bars = False
            rows = [{"number": k, "item": json.dumps(item)} for k, item in enumerate(items)]
            attempts = ray.remote(Attempts).options(num_cpus=0).remote()
            pool = data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                Actor,
                fn_constructor_args=(version("trueward"), begin, attempts),
                batch_size=1,
                batch_format="numpy",
                compute=data.ActorPoolStrategy(
                    min_size=1, max_size=len(rows), initial_size=self._slots(ray, len(rows))
                ),
                num_cpus=1,
                num_gpus=self.num_gpus or None,
            )
            for batch in pool.iter_batches(
                batch_size=None, batch_format="numpy", prefetch_batches=0
            ):
                for result in batch["result"]:
                    yield result_of(json.loads(result))

    def calls(
        self, call: Callable[[Any], Any], items: Sequence[Any]
    ) -> Iterator[tuple[int, Any | None]]:
        """Call a function with each item, each in a process of the cluster.

        Parameters
        ----------
        call : callable
            What to call.
        items : sequence
            What Ray can send to a process.

        Yields
        ------
        number : int
            Which item is finished.
        result : object or None
            Its result; None if its process died each time.

        Raises
        ------
        TruewardError
            The error of an item.

        """
        with self.connected() as ray, in_sentences():
            options = {"num_cpus": 1, "num_gpus": self.num_gpus, "max_retries": TRIES}
            task = ray.remote(called).options(**options)
            here = version("trueward")
            waiting = {task.remote(here, call, item): k for k, item in enumerate(items)}
            while waiting:
                for reference in ray.wait(list(waiting))[0]:
                    number = waiting.pop(reference)
                    try:
                        result = result_of(ray.get(reference))
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                        result = None
                    yield number, result

    def slots(self) -> int:
        """Return how many actors or calls the cluster runs at once."""
        with self.connected() as ray:
            return self._slots(ray, 2**31)

    def _slots(self, ray: Any, most: int) -> int:
        there = ray.cluster_resources()
        count = there.get("GPU", 0) / self.num_gpus if self.num_gpus else there.get("CPU", 1)
        return max(1, min(most, int(count)))

    def _require_gpus(self, ray: Any) -> None:
        there = ray.cluster_resources().get("GPU", 0)
        if self.num_gpus <= there:
            return
        if self.address == LOCAL:
            raise TruewardError(
                f"--num-gpus {self.num_gpus:g} needs GPUs, and Ray finds {there:g} on this machine: give the "
                "address of a cluster that has them, or leave the option out"
            )
        LOG.warning(
            "the Ray cluster has %g GPUs now, and an actor takes %g: waiting for nodes that have them",
            there,
            self.num_gpus,
        )
