"""Rows in the order of time and id, more than memory holds: ranges of that order, sorted one by one."""

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
Progress = Callable[[str, int, int], None]  # what is done, how many rows, of how many
ROWS = 250_000  # that are in memory at a time, at most
BYTES = 1 << 27  # of their texts, about
SAMPLED = 5_000  # rows of a range that its place is found by
KEY = ("shown_at", "response_id")
FIRST = -(2**63)  # stands for no time, which comes first
CONTENT = pl.element().struct.field("content").str.len_bytes()
TEXT = pl.col("response").str.len_bytes().fill_null(0) + pl.col("prompt").list.eval(
    CONTENT
).list.sum().fill_null(0)


def silent(_what: str, _done: int, _of: int) -> None:
    """Tell nobody how far it is."""


def fitting(mean: float | None) -> int:
    """Give how many rows with so many bytes of text are taken at a time."""
    return min(ROWS, max(1_000, int(BYTES / max(mean or 0, 1))))


def at_once(rows: pl.LazyFrame) -> int:
    """Give how many rows are looked at at a time, going by the first thousand."""
    return fitting(rows.head(1_000).select(TEXT.mean()).collect().item())


def marks(rows: pl.LazyFrame, total: int, each: int) -> pl.DataFrame:
    """Give the keys at which ranges of about ``each`` rows begin, but the first: by a sample of the ids."""
    count = -(-total // each)
    if count < 2:
        return pl.DataFrame(schema=dict.fromkeys(KEY, pl.String))
    every = max(1, total // (count * SAMPLED))
    picked = pl.col("response_id").hash() % every == 0
    sample = rows.filter(picked).select(KEY).collect(engine="streaming").sort(KEY)
    return sample[[sample.height * k // count for k in range(1, count)]].unique(maintain_order=True)


class Ranges:
    """Rows that are put in batch by batch and come out in the order of ``KEY``, range by range."""

    def __init__(self, starts: pl.DataFrame, schema: pl.Schema, scratch: Scratch) -> None:
        self.starts, self.schema, self.scratch = starts, schema, scratch
        self.height = self.text = 0  # rows, and bytes of their texts
        self.span: tuple[datetime, ...] = ()  # their first and their last time
        self.held: list[list[pl.LazyFrame]] = [[] for _ in range(len(self))]

    def __len__(self) -> int:
        """Give the number of ranges."""
        return self.starts.height + 1

    def put(self, rows: pl.DataFrame) -> None:
        """Take rows of any ranges."""
        rows = rows.select(self.schema.names())
        self.height += rows.height
        self.text += rows.select(TEXT.sum()).item()
        found = (*self.span, rows["shown_at"].min(), rows["shown_at"].max())
        times = [t for t in found if isinstance(t, datetime)]
        self.span = (min(times), max(times)) if times else ()
        for k, part in self.split(rows):
            self.held[k].append(self.scratch.held(part))

    def split(self, rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """Part rows that have the key by their range, and number it."""
        places = rows.with_columns(self._places(rows).alias("range"))
        parts = places.partition_by("range", as_dict=True, include_key=False)
        yield from ((int(k), part) for (k,), part in parts.items())

    def range(self, k: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Give the rows of one range, sorted."""
        names = list(columns or self.schema.names())
        wanted = [*names, *(name for name in KEY if name not in names)]
        frames = [pl.LazyFrame(schema=self.schema), *self.held[k]]
        return pl.concat([rows.select(wanted) for rows in frames]).collect().sort(KEY).select(names)

    def _places(self, rows: pl.DataFrame) -> pl.Series:
        """Count the starts that are not after each row."""
        times = _moments(self.starts)
        own = _moments(rows)
        low = pl.Series(times.search_sorted(own, "left"), dtype=pl.UInt32)
        high = pl.Series(times.search_sorted(own, "right"), dtype=pl.UInt32)
        tied = (low < high).arg_true()
        if not len(tied):
            return low
        same = pl.DataFrame({"at": own, "id": rows["response_id"]})[tied]
        starts = zip(times, self.starts["response_id"], strict=True)
        passed = [(pl.col("at") == at) & (pl.col("id") >= name) for at, name in starts]
        more = same.select(pl.sum_horizontal(p.cast(pl.UInt32) for p in passed)).to_series()
        return low.scatter(tied, low[tied] + more)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items, the next of which is made in a thread while one is used."""
    with ThreadPoolExecutor(1) as thread:
        made = thread.submit(_one, items)
        while found := made.result():
            made = thread.submit(_one, items)
            yield found[0]


def _one(items: Iterator[T]) -> tuple[T, ...]:
    for item in items:
        return (item,)
    return ()


def _moments(rows: pl.DataFrame) -> pl.Series:
    return rows["shown_at"].to_physical().cast(pl.Int64).fill_null(FIRST)
