"""What runs in the processes of a Ray cluster: pieces of work, their errors, and the check of the version."""

from __future__ import annotations

import importlib
import pickle
import socket
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 3  # how often a piece of work is repeated after its process died
DIED = (
    f"processes of the Ray cluster ended {TRIES + 1} times at the same work; the usual cause is too little "
    "memory: give a cluster with more of it. Finished parts are kept"
)


class Attempts:
    """How often each item was begun: Ray itself would repeat one that kills its process for ever."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def begun(self, number: int) -> int:
        """Count one more attempt."""
        self.counts[number] = self.counts.get(number, 0) + 1
        return self.counts[number]


class Actor:
    """One process of a pool: what works, and one item after the other."""

    def __init__(
        self, release: str, begin: Callable[[], Callable[[Any], Any]], attempts: Any
    ) -> None:
        self.release, self.begin, self.attempts = release, begin, attempts
        self.work: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Work on the item of a batch."""
        items = zip(batch["number"], batch["item"], strict=True)
        return {"result": [packed(partial(self._worked, int(k), item)) for k, item in items]}

    def _worked(self, number: int, item: bytes) -> Any:
        get = importlib.import_module("ray").get
        if get(self.attempts.begun.remote(number)) > TRIES + 1:
            raise TruewardError(DIED)
        if self.work is None:  # not in the constructor, whose errors make Ray try for ever
            require_release(self.release)
            self.work = self.begin()
        return self.work(pickle.loads(item))  # noqa: S301 - the driver packed it


def require_release(release: str) -> None:
    """Raise if this process runs another version of trueward than the one that gave it work.

    Parameters
    ----------
    release : str
        The version of the process that gives the work.

    Raises
    ------
    TruewardError
        If they differ; with the machine.

    """
    if release != version("trueward"):
        raise TruewardError(
            f"the node {socket.gethostname()} has trueward {version('trueward')}, and the command {release}: "
            "install the same version on all nodes"
        )


def called(release: str, call: Callable[[Any], Any], item: Any) -> bytes:
    """Call a function in a process of the cluster, if it has the same version."""

    def run() -> Any:
        require_release(release)
        return call(item)

    return packed(run)


def packed(call: Callable[[], Any]) -> bytes:
    """Return a result, or the error of a user as its class and message."""
    try:
        return pickle.dumps((None, call()))
    except TruewardError as e:
        kind = UsageError if isinstance(e, UsageError) else TruewardError
        return pickle.dumps((kind, str(e)))


def opened(packed: bytes) -> Any:
    """Return a result, or raise the error in its place."""
    kind, value = pickle.loads(packed)  # noqa: S301 - from an actor of this run
    if kind is not None:
        raise kind(value)
    return value
