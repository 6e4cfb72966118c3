"""Data-parallel processes: shards of the rows, all-reduce, broadcast, and one error for all."""

from __future__ import annotations

import atexit
import contextlib
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import NotFiniteError, NotWrittenError, TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from torch import Tensor

T = TypeVar("T")
MESSAGE_SIZE = 2**24  # numbers in one all-reduce
TIMEOUT = timedelta(days=1)  # of a collective call, while one process works alone
ERROR_TYPES = (NotWrittenError, NotFiniteError, UsageError)  # keep their type in other processes


@dataclass(eq=False)
class Processes:
    """The processes of one run, as started by ``accelerate launch`` or ``torchrun``.

    Before each exchange, every process reports whether it has failed. An error of one process is raised
    in all of them (see `raise_together`), so that none waits for ever.

    Attributes
    ----------
    index : int
        Rank of this process, from 0.
    count : int
        Number of processes; 1 for a run without a launcher.
    device : torch.device or None
        Device of the exchanged tensors; None with one process.
    failed : bool
        Whether an error has already been raised in all processes.
    lost : bool
        Whether another process is gone.

    """

    index: int = 0
    count: int = 1
    device: torch.device | None = None
    failed: bool = False
    lost: bool = False

    @property
    def main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.index == 0

    def shard(self, parts: T) -> T:
        """Return the parts of this process: every ``count``-th, starting with number ``index``.

        Parameters
        ----------
        parts : sequence or Tensor
            Anything that can be sliced.

        Returns
        -------
        sequence or Tensor
            ``parts[index::count]``.

        """
        own: T = parts[self.index :: self.count]  # type: ignore[index]
        return own

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, bit-identical in all of them.

        Parameters
        ----------
        tensors : sequence of Tensor
            Changed in place; same shapes and order in every process.

        Raises
        ------
        NotWrittenError
            If another process is gone.
        TruewardError
            The error of another process.

        """
        if self.count == 1 or not tensors:
            return
        import torch  # noqa: PLC0415 - seconds to load, and one process needs none

        self._raise_if_failed()
        with self._lost_process():
            for part in _messages(tensors):
                flat = torch.cat([t.reshape(-1) for t in part]).to(self.device)
                torch.distributed.all_reduce(flat)
                for t, v in zip(part, flat.split([t.numel() for t in part]), strict=True):
                    t.copy_(v.view_as(t))

    def broadcast_tensor(self, numbers: Tensor) -> Tensor:
        """Return the numbers of the main process, so that all processes decide alike.

        Parameters
        ----------
        numbers : Tensor
            Same shape in every process; only the values of the main process count.

        Returns
        -------
        Tensor
            The values of the main process.

        """
        if self.count == 1:
            return numbers
        result = numbers if self.main else numbers.new_zeros(numbers.shape)
        self.all_reduce([result])
        return result

    def broadcast(self, value: T | None) -> T:
        """Return the value of the main process; the others wait for it.

        Parameters
        ----------
        value : object
            Can be pickled; only the value of the main process counts.

        Returns
        -------
        object
            The value of the main process.

        """
        box = [value if self.main else None]
        if self.count == 1:
            return box[0]  # type: ignore[return-value]
        import torch  # noqa: PLC0415 - seconds to load, and one process needs none

        self._raise_if_failed()
        with self._lost_process():
            torch.distributed.broadcast_object_list(box, 0, device=self.device)
        return value if self.main else box[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def raise_together(self) -> Iterator[None]:
        """Raise an error of the block in every process.

        Yields
        ------
        None
            For use in a ``with`` statement.

        """
        try:
            yield
        except Exception as e:
            if self.count > 1 and not self.failed:
                self._raise_if_failed(e)
            raise

    def _raise_if_failed(self, error: Exception | None = None) -> None:
        """Report this process's error, if any; raise the first error of another process."""
        import torch  # noqa: PLC0415 - seconds to load, and one process needs none

        count = torch.tensor([int(error is not None)], device=self.device)
        with self._lost_process():
            torch.distributed.all_reduce(count)
            if not int(count):
                return
            errors: list[Any] = [None] * self.count
            torch.distributed.all_gather_object(errors, None if error is None else _sendable(error))
        self.failed = True
        kind, message = next(e for e in errors if e is not None)
        if error is None:
            raise kind(message)

    @contextlib.contextmanager
    def _lost_process(self) -> Iterator[None]:
        """Turn a lost connection into an error that says how to continue."""
        try:
            yield
        except RuntimeError as e:
            self.failed = self.lost = True
            raise NotWrittenError(
                "another process of this fit has ended, perhaps for lack of memory: finished work is kept; "
                "continue with the same command and --resume"
            ) from e


SINGLE_PROCESS = Processes()


def launched_processes() -> Processes:
    """Return the processes of the launcher that started this one.

    Returns
    -------
    Processes
        `SINGLE_PROCESS` without a launcher, that is if ``WORLD_SIZE`` is unset or 1.

    Raises
    ------
    UsageError
        If accelerate is not installed, or if there are more processes than GPUs.

    """
    return SINGLE_PROCESS if int(os.environ.get("WORLD_SIZE", "1")) < 2 else _process_group()


@cache
def _process_group() -> Processes:
    import torch  # noqa: PLC0415 - seconds to load, and one process needs none

    try:
        from accelerate import PartialState  # noqa: PLC0415 - heavy, and one process needs none
    except ImportError:
        raise UsageError(
            "several processes need accelerate, which is not installed: pip install 'trueward[text]'"
        ) from None
    gpus = torch.cuda.device_count()
    if gpus and int(os.environ.get("LOCAL_RANK", "0")) >= gpus:
        raise UsageError(
            f"each process needs a GPU of its own, and this machine has {gpus}: start at most {gpus}"
        )
    state = PartialState(cpu=not torch.accelerator.is_available(), timeout=TIMEOUT)
    processes = Processes(state.process_index, state.num_processes, state.device)

    def close() -> None:
        """Close the connections; with a lost process, a backend might wait for it."""
        if not processes.lost:
            state.destroy_process_group()

    atexit.register(close)
    return processes


def _messages(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Group consecutive tensors of one dtype into messages of at most `MESSAGE_SIZE` numbers.

    A larger tensor is a message of its own.
    """
    part: list[Tensor] = []
    for t in tensors:
        if part and (
            t.dtype != part[0].dtype or sum(p.numel() for p in part) + t.numel() > MESSAGE_SIZE
        ):
            yield part
            part = []
        part.append(t)
    yield part


def _sendable(error: Exception) -> tuple[type[TruewardError], str]:
    """Return the type and message that other processes raise for an error."""
    kind = next((k for k in ERROR_TYPES if isinstance(error, k)), TruewardError)
    message = str(error) if isinstance(error, TruewardError) else f"{type(error).__name__}: {error}"
    return kind, message
