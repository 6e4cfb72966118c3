"""The server's side of a scoring process: start it, give it batches, end it, start it again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .errors import BatchError, MemoryShortError, RequestError, ScorerDiedError
from .frames import Answer, columns, packed, receive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frames import Text

#: starts a process; the folder of its model follows
COMMAND = (sys.executable, "-m", "trueward.production.serving.worker")
LARGEST = 1 << 30  # bytes of one message
END = 5.0  # seconds that a process gets to end by itself


@dataclass(frozen=True)
class Start:
    """How scoring processes are started."""

    #: folder of the model
    folder: str
    #: number of processes, which share the cores
    processes: int = 1
    #: embeddings servers that the model may send texts to
    endpoints: tuple[str, ...] = ()
    #: seconds without an answer to one batch, after which a process is ended
    stall: float = 60.0

    def environment(self, index: int) -> dict[str, str]:
        """Return the environment of a process: its GPU, and its share of the cores.

        Parameters
        ----------
        index : int
            Number of the process, from 0.

        """
        own = {"LOCAL_RANK": str(index), **os.environ}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        own.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // self.processes)))
        own["TOKENIZERS_PARALLELISM"] = "false" if self.processes > 1 else "true"
        return own


class ScoringProcess:
    """One process with a model.

    Parameters
    ----------
    start : Start
        How to start it.
    index : int
        Its number among those of one model.

    Attributes
    ----------
    about : dict
        What the process says of its model; empty before `start`.
    starts : int
        How often it was started.

    """

    def __init__(self, start: Start, index: int = 0) -> None:
        self._start, self._index = start, index
        self._process: asyncio.subprocess.Process | None = None
        self.about: dict[str, Any] = {}
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def start(self) -> None:
        """Start the process and wait until it has loaded and tried its model.

        Raises
        ------
        TruewardError
            If the model cannot be loaded.

        """
        await self.end()
        self.starts += 1
        self._process = process = await asyncio.create_subprocess_exec(
            *(*COMMAND, self._start.folder, *self._start.endpoints),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._start.environment(self._index),
            limit=LARGEST,
            start_new_session=True,  # Ctrl-C is for the server, which ends its processes
        )
        try:
            about = await self._receive()
        except ScorerDiedError:
            raise TruewardError(
                f"the scoring process ended while it loaded {self._start.folder} (exit code "
                f"{process.returncode}): is there enough memory for the model?"
            ) from None
        if "failed" in about:
            raise TruewardError(about["failed"])
        self.about = about

    async def score(self, texts: Sequence[Text]) -> list[Answer | RequestError]:
        """Score a batch.

        Parameters
        ----------
        texts : sequence of Text
            The batch.

        Returns
        -------
        list of Answer or RequestError
            One for each text: its score, or why it alone has none.

        Raises
        ------
        BatchError
            If the batch has no scores: `MemoryShortError`, `ScorerDiedError`, or another.

        """
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise ScorerDiedError
        try:
            process.stdin.write(packed(columns(texts)))
            async with asyncio.timeout(self._start.stall):
                await process.stdin.drain()
                found = await self._receive()
        except (OSError, TimeoutError):
            await self.end(wait=0)
            raise ScorerDiedError from None
        if "failed" in found:
            raise MemoryShortError if found["kind"] == "memory" else BatchError(found["failed"])
        return [self._answer(found, i) for i in range(len(texts))]

    def _answer(self, found: dict[str, list[Any]], i: int) -> Answer | RequestError:
        size, limit = found["too_long"][i], self.about["limit"]
        if size is not None:
            return RequestError(
                413,
                f"a text has {size:,} {limit['unit']}, and the model reads {limit['most']:,}: shorten it, "
                "or let it be truncated (truncate in the request, --truncate of the server)",
            )
        answer = Answer(*(found[name][i] for name in Answer._fields))
        if answer.reward is None and not self.about["interval_only"]:
            return RequestError(500, "the model gives this text no finite reward")
        return answer

    async def end(self, wait: float = END) -> None:
        """End the process: let it finish, then kill it.

        Parameters
        ----------
        wait : float, default 5
            Seconds that it gets.

        """
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None and wait:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _receive(self) -> Any:
        assert self._process is not None and self._process.stdout is not None  # noqa: PT018
        try:
            return await receive(self._process.stdout)
        except (asyncio.IncompleteReadError, OSError):
            await self.end(wait=0)
            raise ScorerDiedError from None
