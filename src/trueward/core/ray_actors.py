"""What runs in the processes of a Ray cluster: pieces of work, their errors, and the check of the version."""

from __future__ import annotations

import importlib
import json
import socket
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Work on the item of a batch."""
        items = zip(batch["number"], batch["item"], strict=True)
        results = [outcome(partial(self._worked, int(k), item)) for k, item in items]
        return {"result": [json.dumps(result) for result in results]}

    def _worked(self, number: int, item: str) -> Any:
        get = importlib.import_module("ray").get
        if get(self.attempts.begun.remote(number)) > TRIES + 1:
            raise TruewardError(DIED)
        if self.work is None:  # not in the constructor, whose errors make Ray try for ever
            require_release(self.release)
            self.work = self.begin()
        return self.work(json.loads(item))


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


def called(release: str, call: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """Call a function in a process of the cluster, if it has the same version."""

    def run() -> Any:
        require_release(release)
        return call(item)

    return outcome(run)


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return ``done`` and a result, or the error of a user as ``usage`` or ``wrong`` and its message."""
    try:
        return "done", call()
    except TruewardError as e:
        return "usage" if isinstance(e, UsageError) else "wrong", str(e)


def result_of(outcome: Sequence[Any]) -> Any:
    """Return a result, or raise the error in its place."""
    kind, value = outcome
    if kind == "done":
        return value
    raise (UsageError if kind == "usage" else TruewardError)(value)
