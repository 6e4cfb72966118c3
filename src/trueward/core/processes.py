"""Several processes of one fit: each has a share of the rows, and all know what each has made of it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from .errors import NotFiniteError, NotWrittenError, TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

T = TypeVar("T")
AT_ONCE = 2**24  # numbers that are sent in one piece
PATIENCE = timedelta(days=1)  # that others wait for what one process does alone
CPU = torch.device("cpu")
KINDS = (NotWrittenError, NotFiniteError, UsageError)


@dataclass(eq=False)
class Processes:
    """The processes that `accelerate launch` or torchrun started; ``ALONE`` is one by itself.

    Before anything is exchanged, all say whether they are well, so that an error of one becomes the error
    of all (`one_fate`) and nobody waits for ever.
    """

    index: int = 0
    count: int = 1
    device: torch.device = CPU  # where what is sent must be
    ended: bool = False  # an error was told to all

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.index == 0

    def share(self, parts: T) -> T:
        """Give every ``count``-th of the parts, from the ``index``-th on; the parts can be sliced."""
        own: T = parts[self.index :: self.count]  # type: ignore[index]
        return own

    def summed(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over the processes in place of each tensor, equal in every bit everywhere."""
        if self.count == 1 or not tensors:
            return
        self._well()
        with self._lost():
            for part in _pieces(tensors):
                flat = torch.cat([t.reshape(-1) for t in part]).to(self.device)
                torch.distributed.all_reduce(flat)
                for t, v in zip(part, flat.split([t.numel() for t in part]), strict=True):
                    t.copy_(v.view_as(t))

    def agreed(self, numbers: Tensor) -> Tensor:
        """Give the numbers of the main process: what they decide must be decided alike."""
        if self.count == 1:
            return numbers
        given = numbers if self.main else torch.zeros_like(numbers)
        self.summed([given])
        return given

    def told(self, value: T | None) -> T:
        """Give what the main process has made, once it has; it is pickled on its way."""
        box = [value if self.main else None]
        if self.count == 1:
            return box[0]  # type: ignore[return-value]
        self._well()
        with self._lost():
            torch.distributed.broadcast_object_list(box, 0, device=self.device)
        return value if self.main else box[0]  # type: ignore[return-value]

    @contextlib.contextmanager
    def one_fate(self) -> Iterator[None]:
        """End all processes with the error that ends one."""
        try:
            yield
        except Exception as e:
            if self.count > 1 and not self.ended:
                self._well(e)
            raise

    def _well(self, error: Exception | None = None) -> None:
        """Hear whether all are well; if not, raise the error of the first that is not."""
        failed = torch.tensor([int(error is not None)], device=self.device)
        with self._lost():
            torch.distributed.all_reduce(failed)
            if not int(failed):
                return
            errors: list[Any] = [None] * self.count
            torch.distributed.all_gather_object(errors, None if error is None else _plain(error))
        self.ended = True
        kind, said = next(e for e in errors if e is not None)
        if error is None:
            raise kind(said)

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        """Turn a connection that is gone into one sentence."""
        try:
            yield
        except RuntimeError as e:
            self.ended = True
            raise NotWrittenError(
                "another process of this fit is gone, killed perhaps for want of memory: what is done so far "
                "is kept, and the same command with --resume goes on"
            ) from e


ALONE = Processes()


def launched() -> Processes:
    """Give the processes that this one was started with."""
    return ALONE if int(os.environ.get("WORLD_SIZE", "1")) < 2 else _group()


@cache
def _group() -> Processes:
    try:
        from accelerate import PartialState  # noqa: PLC0415 - heavy, and one process needs none
    except ImportError:
        raise UsageError(
            "several processes need accelerate, which is not installed: pip install 'trueward[text]'"
        ) from None
    here = torch.cuda.device_count()
    if here and int(os.environ.get("LOCAL_RANK", "0")) >= here:
        raise UsageError(
            f"each process has a GPU of its own, and this machine has {here}: start {here} at most"
        )
    state = PartialState(cpu=not torch.accelerator.is_available(), timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state.device)


def _pieces(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Cut into runs of one kind of number, of ``AT_ONCE`` numbers where a tensor is no longer itself."""
    part: list[Tensor] = []
    for t in tensors:
        if part and (
            t.dtype != part[0].dtype or sum(p.numel() for p in part) + t.numel() > AT_ONCE
        ):
            yield part
            part = []
        part.append(t)
    yield part


def _plain(error: Exception) -> tuple[type[TruewardError], str]:
    """Give what can be sent of an error."""
    kind = next((k for k in KINDS if isinstance(error, k)), TruewardError)
    said = str(error) if isinstance(error, TruewardError) else f"{type(error).__name__}: {error}"
    return kind, said
