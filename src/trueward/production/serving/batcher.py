"""Dynamic batching: rows of all requests share batches, and every row gets a score or an error of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trueward.core.errors import TruewardError

from .description import TOKENS
from .errors import BatchError, MemoryShortError, RequestError, ScorerDiedError
from .queue import ALONE, Queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .frames import Answer, Text
    from .queue import Row

LOG = logging.getLogger("trueward.serve")
RECOVERY = 256  # batches in a row that fit, after which a halved budget doubles
RESTARTS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before a process is started again


class Scorer(Protocol):
    """What scores batches, one at a time."""

    async def score(self, texts: Sequence[Text]) -> Sequence[Answer | RequestError]:
        """Return an answer for each text, or raise a BatchError."""

    async def start(self) -> None:
        """Make it ready to score, again after it died."""

    async def end(self, wait: float = ...) -> None:
        """Free what it holds."""


class Observer(Protocol):
    """What counts."""

    def batch(self, rows: Sequence[Row], began: float, ended: float) -> None:
        """Count a batch that was scored, from when to when in `time.monotonic`."""

    def failure(self, kind: str) -> None:
        """Count a batch that failed: ``memory``, ``died``, ``other``."""


@dataclass(frozen=True)
class BatchLimits:
    """Bounds of a batch and of the queue."""

    #: largest number of rows times longest row of a batch, in tokens; 0: what suits the model
    batch_tokens: int = 0
    #: largest number of rows of a batch
    batch_rows: int = 256
    #: largest number of tokens that wait
    queue_tokens: int = 1_000_000


class Batcher:
    """Scores the rows of all requests in shared batches.

    A scorer that is idle takes what waits, without delay. A batch that fails is divided until the rows that
    cannot be scored are alone. A batch that exceeds the memory halves the budget, which doubles again after
    256 batches that fit. Rows of a scorer that died are scored again.

    Parameters
    ----------
    scorers : sequence of Scorer
        Started scorers.
    limits : BatchLimits
        Bounds.
    observer : Observer
        Counts batches and failures.

    Attributes
    ----------
    queue : Queue
        The rows that wait.
    budget, most_tokens : int
        Tokens of a batch now, and when memory suffices.
    memory_short : bool
        Whether the last batch of a single row did not fit into memory.
    progress : float
        When a batch last ended or the first row of an idle server came, in `time.monotonic`.

    """

    def __init__(self, scorers: Sequence[Scorer], limits: BatchLimits, observer: Observer) -> None:
        self._scorers, self._limits, self._observer = scorers, limits, observer
        self.queue = Queue(limits.queue_tokens)
        self.budget = self.most_tokens = limits.batch_tokens or TOKENS
        self.memory_short = False
        self.progress = time.monotonic()
        self.alive = len(scorers)
        self._fit = 0
        self._tasks: list[asyncio.Task[None]] = []

    def run(self) -> None:
        """Begin to score."""
        self._tasks = [asyncio.create_task(self._work(s)) for s in self._scorers]

    def enter(self, texts: Sequence[Text]) -> tuple[list[Row], int]:
        """Queue texts, see `Queue.enter`."""
        if not self.queue.outstanding:
            self.progress = time.monotonic()
        return self.queue.enter(texts)

    def stalled(self, seconds: float) -> bool:
        """Whether rows wait and no batch has ended for so many seconds."""
        return bool(self.queue.outstanding) and time.monotonic() - self.progress > seconds

    async def stop(self) -> None:
        """Score what waits, then end the scorers."""
        if self._tasks:
            await self.queue.emptied()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(s.end() for s in self._scorers))

    async def _work(self, scorer: Scorer) -> None:
        while True:
            rows = await self.queue.batch(self.budget, self._limits.batch_rows)
            try:
                died = await self._score_all(scorer, rows)
            except Exception as e:
                LOG.exception("a batch failed", extra={"error": type(e).__name__})
                self._fail(rows, RequestError(500, "the server failed to score this text"))
                died = False
            self.progress = time.monotonic()
            if died:
                await self._restart(scorer)

    async def _score_all(self, scorer: Scorer, rows: list[Row]) -> bool:
        """Score rows, divided where they fail; return whether the scorer died."""
        parts = [rows]
        while parts:
            part = [row for row in parts.pop() if self._wanted(row)]
            if not part:
                continue
            began = time.monotonic()
            try:
                found = await scorer.score([row.text for row in part])
            except ScorerDiedError:
                self._observer.failure("died")
                self._retry([*part, *(row for rest in reversed(parts) for row in rest)], part)
                return True
            except Exception as e:  # noqa: BLE001 - whatever it is, it concerns these rows
                parts += self._halves(part, e)
                continue
            self._observer.batch(part, began, time.monotonic())
            self._settle(part, found)
            self.progress = time.monotonic()
        return False

    def _wanted(self, row: Row) -> bool:
        if row.waiting and not row.answer.done():
            return True
        self.queue.settle(row)
        return False

    def _settle(self, rows: Sequence[Row], found: Sequence[Answer | RequestError]) -> None:
        for row, answer in zip(rows, found, strict=True):
            self.queue.settle(row)
            if row.answer.done():
                continue
            if isinstance(answer, RequestError):
                self._fail([row], answer)
            else:
                row.answer.set_result(answer)
        self.memory_short = False
        self._fit += 1
        if self._fit % RECOVERY == 0:
            self.budget = min(self.most_tokens, 2 * self.budget)

    def _halves(self, rows: list[Row], e: Exception) -> list[list[Row]]:
        """What to score next after rows failed together; a row that failed alone gets its error."""
        short = isinstance(e, MemoryShortError)
        self._observer.failure("memory" if short else "other")
        if short:
            self._fit = 0
            self.budget = max(1, min(self.budget, len(rows) * max(r.tokens for r in rows)) // 2)
        if len(rows) > 1:
            return [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
        self.memory_short = short
        if short:
            problem = RequestError(
                503, "this text does not fit into the memory of the server", retry_after=5
            )
        elif isinstance(e, BatchError):
            problem = RequestError(500, f"this text could not be scored: {e}")
        else:
            problem = RequestError(500, f"this text could not be scored ({type(e).__name__})")
        self._fail(rows, problem)
        return []

    def _retry(self, rows: list[Row], touched: Sequence[Row]) -> None:
        """Queue rows again after their scorer died; a row that ended one while alone is given up."""
        for row in touched:
            row.deaths += 1
        given_up = [r for r in rows if r.deaths > ALONE]
        self._fail(
            given_up, RequestError(500, "the scoring process ended three times with this text")
        )
        self.queue.again([r for r in rows if r.deaths <= ALONE])

    def _fail(self, rows: Sequence[Row], error: RequestError) -> None:
        for row in rows:
            self.queue.settle(row)
            if not row.answer.done():
                row.answer.set_exception(error)
                row.answer.exception()  # a row that nobody waits for any more is no warning

    async def _restart(self, scorer: Scorer) -> None:
        self.alive -= 1
        for k in range(1_000_000):
            await asyncio.sleep(RESTARTS[min(k, len(RESTARTS) - 1)])
            try:
                await scorer.start()
            except Exception as e:  # whatever it is, the next start may succeed
                reason = str(e) if isinstance(e, TruewardError) else type(e).__name__
                LOG.exception("a scoring process cannot be started", extra={"error": reason})
                continue
            break
        self.alive += 1
        LOG.warning("a scoring process was started again")


async def answers(batcher: Batcher, rows: Sequence[Row], seconds: float) -> list[Answer]:
    """Wait for the answers of a request's rows.

    Parameters
    ----------
    batcher : Batcher
        Where the rows wait.
    rows : sequence of Row
        From `Batcher.enter`.
    seconds : float
        Longest wait.

    Returns
    -------
    list of Answer
        One for each row.

    Raises
    ------
    RequestError
        Of the first row that has no score; 503 after the longest wait.

    """
    try:
        async with asyncio.timeout(seconds):
            return [await asyncio.shield(row.answer) for row in rows]
    except TimeoutError:
        raise RequestError(
            503, f"no score within {seconds:g} seconds: send the request again", retry_after=5
        ) from None
    finally:
        batcher.queue.leave(rows)
