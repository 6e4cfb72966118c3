"""External sort of rows that exceed memory: by time and id, in ranges that are sorted one by one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .scratch import Scratch

T = TypeVar("T")
Progress = Callable[[str, int, int], None]  # step, rows done, rows in total (0: unknown)
MAX_ROWS = 250_000  # rows in memory at a time
MAX_TEXT = 1 << 27  # bytes of their texts, about
SAMPLED = 5_000  # sampled ids for each range
SORT_KEY = ("shown_at", "response_id")
NO_TIME = -(2**63)  # sorts rows without a time first
CONTENT_BYTES = pl.element().struct.field("content").str.len_bytes()
TEXT_BYTES = pl.col("response").str.len_bytes().fill_null(0) + pl.col("prompt").list.eval(
    CONTENT_BYTES
).list.sum().fill_null(0)


def no_progress(_step: str, _rows: int, _total: int) -> None:
    """Report nothing.

    Parameters
    ----------
    _step : str
        What is being done.
    _rows : int
        Rows done.
    _total : int
        Rows in total; 0 if unknown.

    """


def rows_for(mean_bytes: float | None) -> int:
    """Return how many rows to hold at a time if each has ``mean_bytes`` bytes of text.

    Parameters
    ----------
    mean_bytes : float or None
        Mean text of a row; None or 0 for no text.

    Returns
    -------
    int
        Between 1,000 and ``MAX_ROWS``.

    """
    return min(MAX_ROWS, max(1_000, int(MAX_TEXT / max(mean_bytes or 0, 1))))


def rows_at_once(rows: pl.LazyFrame) -> int:
    """Return how many of these rows to hold at a time, judged by the first thousand.

    Parameters
    ----------
    rows : LazyFrame
        Staged responses.

    Returns
    -------
    int
        See `rows_for`.

    """
    return rows_for(rows.head(1_000).select(TEXT_BYTES.mean()).collect().item())


def range_starts(rows: pl.LazyFrame, total: int, size: int) -> pl.DataFrame:
    """Return the sort keys at which ranges of about ``size`` rows start, from a sample of the ids.

    Parameters
    ----------
    rows : LazyFrame
        Has the columns ``SORT_KEY``.
    total : int
        Number of rows.
    size : int
        Wanted rows of a range.

    Returns
    -------
    DataFrame
        Columns ``SORT_KEY``; the start of every range but the first, sorted.

    """
    count = -(-total // size)
    if count < 2:
        return pl.DataFrame(schema=dict.fromkeys(SORT_KEY, pl.String))
    every = max(1, total // (count * SAMPLED))
    is_sampled = pl.col("response_id").hash() % every == 0
    keys = rows.filter(is_sampled).select(SORT_KEY).collect(engine="streaming").sort(SORT_KEY)
    return keys[[keys.height * k // count for k in range(1, count)]].unique(maintain_order=True)


class SortedRanges:
    """External sort: rows are added in batches and read back sorted by ``SORT_KEY``, range by range.

    Parameters
    ----------
    starts : DataFrame
        The start of every range but the first; see `range_starts`.
    schema : Schema
        Columns of the rows.
    scratch : Scratch
        Holds rows that exceed memory.

    Attributes
    ----------
    height : int
        Number of rows.
    text_bytes : int
        Bytes of their texts.
    time_span : tuple of datetime
        First and last time; empty if no row has one.

    """

    def __init__(self, starts: pl.DataFrame, schema: pl.Schema, scratch: Scratch) -> None:
        self.starts, self.schema, self.scratch = starts, schema, scratch
        self.height = self.text_bytes = 0
        self.time_span: tuple[datetime, ...] = ()
        self.parts: list[list[pl.LazyFrame]] = [[] for _ in range(len(self))]

    def __len__(self) -> int:
        """Return the number of ranges."""
        return self.starts.height + 1

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows of any ranges.

        Parameters
        ----------
        rows : DataFrame
            Has the columns of the schema.

        """
        rows = rows.select(self.schema.names())
        self.height += rows.height
        self.text_bytes += rows.select(TEXT_BYTES.sum()).item()
        bounds = (*self.time_span, rows["shown_at"].min(), rows["shown_at"].max())
        times = [t for t in bounds if isinstance(t, datetime)]
        self.time_span = (min(times), max(times)) if times else ()
        for k, part in self.split(rows):
            self.parts[k].append(self.scratch.hold(part))

    def split(self, rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the number of each range and the rows in it; rows have the columns ``SORT_KEY``.

        Parameters
        ----------
        rows : DataFrame
            Rows of any ranges.

        Yields
        ------
        tuple of (int, DataFrame)
            Ranges without rows are left out.

        """
        numbered = rows.with_columns(self._range_numbers(rows).alias("range"))
        parts = numbered.partition_by("range", as_dict=True, include_key=False)
        yield from ((int(k), part) for (k,), part in parts.items())

    def range(self, k: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the sorted rows of range ``k``, from 0, in all or some columns.

        Parameters
        ----------
        k : int
            Number of the range, from 0.
        columns : sequence of str, optional
            Columns to return; all by default.

        Returns
        -------
        DataFrame
            Sorted by ``SORT_KEY``.

        """
        names = list(columns or self.schema.names())
        needed = [*names, *(name for name in SORT_KEY if name not in names)]
        frames = [pl.LazyFrame(schema=self.schema), *self.parts[k]]
        rows = pl.concat([frame.select(needed) for frame in frames]).collect()
        return rows.sort(SORT_KEY).select(names)

    def joined(
        self, others: pl.DataFrame, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield the sorted rows of each range, and the rows of another table that lie in the range.

        Parameters
        ----------
        others : DataFrame
            Has the columns ``SORT_KEY``.
        columns : sequence of str, optional
            Columns of the first; all by default.

        Yields
        ------
        tuple of (DataFrame, DataFrame)
            Range by range.

        """
        parts = dict(self.split(others))
        for k in range(len(self)):
            yield self.range(k, columns), parts.get(k, others.clear())

    def _range_numbers(self, rows: pl.DataFrame) -> pl.Series:
        """Return the number of starts that are not after each row."""
        starts = _time_numbers(self.starts)
        times = _time_numbers(rows)
        low = pl.Series(starts.search_sorted(times, "left"), dtype=pl.UInt32)
        high = pl.Series(starts.search_sorted(times, "right"), dtype=pl.UInt32)
        tied = (low < high).arg_true()
        if not len(tied):
            return low
        same = pl.DataFrame({"at": times, "id": rows["response_id"]})[tied]
        keys = zip(starts, self.starts["response_id"], strict=True)
        passed = [(pl.col("at") == at) & (pl.col("id") >= name) for at, name in keys]
        more = same.select(pl.sum_horizontal(p.cast(pl.UInt32) for p in passed)).to_series()
        return low.scatter(tied, low[tied] + more)


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield items; while one is used, a thread computes the next.

    Parameters
    ----------
    items : iterator
        Its items are computed in a thread.

    Yields
    ------
    object
        The items, in order.

    """
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(_next_item, items)
        while item := future.result():
            future = thread.submit(_next_item, items)
            yield item[0]


def _next_item(items: Iterator[T]) -> tuple[T, ...]:
    for item in items:
        return (item,)
    return ()


def _time_numbers(rows: pl.DataFrame) -> pl.Series:
    return rows["shown_at"].to_physical().cast(pl.Int64).fill_null(NO_TIME)
