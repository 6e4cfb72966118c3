"""Rows that wait to be scored: each text once, bounded in tokens, in batches of similar length."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .frames import Answer, Text

BYTES_A_TOKEN = (
    4  # of English text, in most tokenizers; exact counts would tokenize each text twice
)
WINDOW = 8  # budgets of the oldest rows, from which a batch of similar length is chosen
ALONE = 2  # lost processes after which a row is scored alone


def token_count(text: Text) -> int:
    """Return the estimated number of tokens of a text, UTF-8 bytes / 4, at least 1."""
    size = sum(
        len(t) if t.isascii() else len(t.encode("utf-8", "surrogatepass"))
        for t in (text.prompt, text.response)
    )
    return max(1, -(-size // BYTES_A_TOKEN))


@dataclass(eq=False)
class Row:
    """A text that waits, with the requests that wait for it."""

    #: the text
    text: Text
    #: estimated number of tokens
    tokens: int
    #: the score, or the error of this row
    answer: asyncio.Future[Answer]
    #: number of requests that wait for the answer; at 0 it is not computed
    waiting: int = 0
    #: processes that ended while they scored it
    deaths: int = 0
    #: when it was queued, in seconds of `time.monotonic`
    since: float = field(default_factory=time.monotonic)


class Queue:
    """Rows in order of arrival.

    Parameters
    ----------
    capacity : int
        Largest number of waiting tokens.

    Attributes
    ----------
    tokens : int
        Number of waiting tokens.

    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.tokens = capacity, 0
        self._rows: dict[Row, None] = {}  # in order; removal from the middle is constant time
        self._by_text: dict[Text, Row] = {}  # waiting rows, and those that are being scored
        self._filled, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def outstanding(self) -> int:
        """Number of rows that wait or are being scored."""
        return len(self._by_text)

    def enter(self, texts: Sequence[Text]) -> tuple[list[Row], int]:
        """Queue the texts of a request; texts that wait already are shared.

        Parameters
        ----------
        texts : sequence of Text
            Texts of one request.

        Returns
        -------
        rows : list of Row
            One for each text; equal texts have the same.
        shared : int
            How many of them need no computation of their own.

        Raises
        ------
        RequestError
            413, if the request exceeds the whole queue; 503, if the queue is full.

        """
        new = {t: token_count(t) for t in texts if t not in self._by_text}
        size = sum(new.values())
        if size > self.capacity:
            raise RequestError(
                413,
                f"the request has about {size:,} tokens, and the queue holds {self.capacity:,}: send fewer "
                "texts in one request, or raise --max-queue-tokens",
            )
        if self.tokens + size > self.capacity:
            raise RequestError(503, "the queue is full: send the request again", retry_after=1)
        loop = asyncio.get_running_loop()
        if new:
            self._idle.clear()
        for text, tokens in new.items():
            row = Row(text, tokens, loop.create_future())
            self._by_text[text] = self._rows_first(row)
        rows = [self._by_text[t] for t in texts]
        for row in rows:
            row.waiting += 1
        return rows, len(texts) - len(new)

    def _rows_first(self, row: Row) -> Row:
        self._rows[row] = None
        self.tokens += row.tokens
        self._filled.set()
        return row

    def leave(self, rows: Sequence[Row]) -> None:
        """Take a request's interest in its rows away; what nobody waits for is not computed."""
        for row in rows:
            row.waiting -= 1
            if not row.waiting and row in self._rows:
                self._remove(row)
                self.settle(row)

    def again(self, rows: Sequence[Row]) -> None:
        """Put rows back as the oldest ones, after their scoring was interrupted."""
        before, self._rows = self._rows, {}
        for row in rows:
            self._rows_first(row)
        self._rows |= before

    async def batch(self, budget: int, most: int) -> list[Row]:
        """Wait for rows, and take the oldest with others of similar length.

        Parameters
        ----------
        budget : int
            Largest number of rows times longest row, in tokens. A single row may exceed it.
        most : int
            Largest number of rows.

        Returns
        -------
        list of Row
            At least one, in order of length.

        """
        while not self._rows:
            self._filled.clear()
            await self._filled.wait()
        rows = list(self._chosen(budget, most))
        for row in rows:
            self._remove(row)
        return rows

    def _chosen(self, budget: int, most: int) -> Iterator[Row]:
        first = next(iter(self._rows))
        if first.deaths >= ALONE:
            yield first
            return
        window: list[Row] = []
        size = 0
        for row in self._rows:
            size += row.tokens
            if (size > WINDOW * budget or len(window) == WINDOW * most) and window:
                break
            if row.deaths < ALONE:
                window.append(row)
        window.sort(key=lambda row: row.tokens)
        low = high = window.index(first)
        longest = first.tokens
        while high - low + 1 < most:  # the neighbour in length that changes the padding less
            below, above = low > 0, high + 1 < len(window)
            down = first.tokens - window[low - 1].tokens if below else None
            up = window[high + 1].tokens - first.tokens if above else None
            if down is None and up is None:
                break
            rise = down is None or (up is not None and up < down)
            if rise and (high - low + 2) * window[high + 1].tokens > budget:
                if down is None:
                    break
                rise = False
            if not rise and (high - low + 2) * longest > budget:
                break
            if rise:
                high += 1
                longest = window[high].tokens
            else:
                low -= 1
        yield from window[low : high + 1]

    def settle(self, row: Row) -> None:
        """Forget a row: its text is computed anew when it comes again."""
        if self._by_text.get(row.text) is row:
            del self._by_text[row.text]
        if not self._by_text:
            self._idle.set()

    async def emptied(self) -> None:
        """Wait until no row waits and none is being scored."""
        await self._idle.wait()

    def _remove(self, row: Row) -> None:
        del self._rows[row]
        self.tokens -= row.tokens
