"""An import as a folder: the two tables, the log, and the account, all of it or nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.atomic_io import replacing
from trueward.core.errors import UsageError

from .about import SCHEMA
from .ranges import ahead, fitting, silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .gather import Gathered
    from .ranges import Progress

GROUP = 125_000  # rows of a row group, at most


def claimed(out: Path) -> None:
    """Refuse to replace anything but an import, before any work."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a folder to write")
    if out.is_dir() and any(out.iterdir()) and not (out / "summary.json").is_file():
        raise UsageError(f"--out {out} holds other files than an import: name a new folder")


def write(made: Gathered, out: Path, progress: Progress = silent) -> None:
    """Write the folder; an earlier import there is replaced in one step."""
    claimed(out)
    about = made.about.export_scope.metadata()
    tables = {"events": made.tables.events, "rejected": made.tables.rejected}
    if made.pairs.height:
        tables["pairs"] = made.pairs
    with replacing(out) as folder:
        folder.mkdir()
        _long(made, folder, about, progress)
        for name, frame in tables.items():
            with _Parquet(folder / f"{name}.parquet", about) as file:
                file.put(frame)
        _json(folder / "dataset.json", _document(made))
        _json(folder / "summary.json", made.summary)


def _long(made: Gathered, folder: Path, about: Mapping[str, str], progress: Progress) -> None:
    """Write responses and log side by side, for each takes as long as the other."""
    ranges = made.tables.ranges
    done = 0
    group = min(GROUP, fitting(ranges.text / max(ranges.height, 1)))
    with (
        _Parquet(folder / "responses.parquet", about, group) as responses,
        _Parquet(folder / "log.parquet", about, group) as log,
        ThreadPoolExecutor(2) as threads,
    ):
        for parts in ahead(made.parts()):
            both = [
                threads.submit(file.put, p) for file, p in zip((responses, log), parts, strict=True)
            ]
            for one in both:
                one.result()
            progress("writing responses", done := done + parts[0].height, ranges.height)


class _Parquet:
    """A Parquet file that rows are put into; its row groups are as large whatever the batches."""

    def __init__(self, path: Path, about: Mapping[str, str], group: int = GROUP) -> None:
        self.path, self.about, self.group = path, about, group
        self.held: pl.DataFrame | None = None
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def put(self, rows: pl.DataFrame) -> None:
        """Take rows, and write those that fill a row group."""
        rows = rows if self.held is None else self.held.vstack(rows)
        full = rows.height // self.group * self.group
        for part in rows[:full].iter_slices(self.group) if full else ():
            self._write(part)
        self.held = rows[full:]

    def _write(self, rows: pl.DataFrame) -> None:
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.writer is None:
            schema = table.schema.with_metadata(dict(self.about))
            self.writer = pq.ParquetWriter(self.path, schema, compression="zstd")
        self.writer.write_table(pa.table(table.columns, schema=self.writer.schema))

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.held is not None and (self.held.height or self.writer is None):
            self._write(self.held)
        if self.writer is not None:
            self.writer.close()


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
    )


def _document(made: Gathered) -> dict[str, Any]:
    """Describe the data set so that an import of the two tables gives the same log."""
    about, ranges = made.about, made.tables.ranges
    channels: dict[str, dict[str, Any]] = {name: {} for name in made.tables.channels}
    for name, (low, high) in about.scales.items():
        channels.setdefault(name, {}).update({"min": low, "max": high})
    for name, window in about.windows.items():
        spans = [[None if t is None else t.isoformat() for t in span] for span in window.spans]
        where = {"where": dict(window.where)} if window.where else {}
        channels.setdefault(name, {}).update({"available": spans, **where})
    return {
        "schema": SCHEMA,
        "reader": made.source.name,
        "coverage": about.export_scope.level,
        "window": [t.isoformat() for t in ranges.span],
        "channels": dict(sorted(channels.items())),
        "label_map": {"positive": list(about.positive), "negative": list(about.negative)},
        "id_hash": {"algorithm": "hmac-sha256"},
        "counts": {
            "responses": ranges.height,
            "rated": made.summary["rated"],
            "events": made.tables.events.height,
        },
    }
