"""The result of an import: tables, log and account, and the folder that they are written to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.atomic_io import replacing
from trueward.core.errors import UsageError

from .channels import LOTTERY_NAMES
from .dataset_info import SCHEMA
from .derive import derive_log
from .sorted_ranges import no_progress, prefetched, rows_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .contract import Source, UserMapping
    from .dataset_info import DatasetInfo
    from .derive import EventSummary
    from .merge import Tables
    from .sorted_ranges import Progress

ROW_GROUP = 125_000  # rows, at most
SHOWN_REASONS = 20  # reasons of rejection in the summary


@dataclass(frozen=True)
class ImportedLog:
    """An import: the two generic tables, the log derived from them, and the account of every record.

    Attributes
    ----------
    source : Source
        The product that the export comes from.
    tables : Tables
        Responses, events and rejected rows.
    event_summary : EventSummary
        Labels and signals of every response with an event.
    pairs : DataFrame
        Comparisons that one response won: ``winner_id``, ``loser_id``, ``source``, ``at``.
    info : DatasetInfo
        Export scope, scales, windows and label conditions.
    mapping : UserMapping
        The names and paths that were used.
    notes : tuple of str
        What a user should know before trusting the log.
    redacted : dict of str to int or None
        Number of removals by kind; None without redaction.

    """

    source: Source
    tables: Tables
    event_summary: EventSummary
    pairs: pl.DataFrame
    info: DatasetInfo
    mapping: UserMapping
    notes: tuple[str, ...]
    redacted: dict[str, int] | None = None

    @cached_property
    def log(self) -> pl.DataFrame:
        """The whole log in memory, one row per response; `trueward.read_log` reads it."""
        return pl.concat([log for _, log in self.parts()])

    def parts(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield responses and their log in order of time, as many at a time as memory holds.

        Yields
        ------
        tuple of (DataFrame, DataFrame)
            Rows of the responses table, and their rows of the log.

        """
        events = self.event_summary
        for responses, summary in self.tables.ranges.joined(events.rows):
            yield responses, derive_log(responses, summary, events.columns, self.info)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The account of every record, as ``summary.json`` has it."""
        tables, labels = self.tables, self.event_summary.rows
        reasons = tables.rejected["reason"].value_counts()
        reasons = reasons.sort("count", "reason", descending=[True, False]).head(SHOWN_REASONS)
        scope = self.info.export_scope
        paths = {text: list(paths) for text, paths in self.mapping.paths.items()}
        names = {k: v for k, v in self.mapping.signals.items() if k not in LOTTERY_NAMES}
        return {
            "schema": SCHEMA,
            "source": self.source.name,
            "coverage": scope.level,
            "wider": scope.wider,
            "read": tables.read,
            "kept": {"responses": tables.ranges.height, "events": tables.events.height},
            "rated": labels["feedback"].count(),
            "gold": labels["gold"].count(),
            "pairs": self.pairs.height,
            "channels": tables.channels,
            "duplicates": tables.duplicates,
            "events_without_response": tables.events_without_response,
            "skipped": tables.skipped,
            "rejected": {"rows": tables.rejected.height, "reasons": dict(reasons.iter_rows())},
            **({} if self.redacted is None else {"redacted": self.redacted}),
            "mapping": {"names": names, "paths": paths},
            "notes": list(self.notes),
        }

    def write(self, out: Path, progress: Progress = no_progress) -> None:
        """Write the import to a folder; an earlier import there is replaced as a whole.

        Parameters
        ----------
        out : Path
            The folder.
        progress : callable
            Called as ``progress(step, rows, total)``.

        Raises
        ------
        UsageError
            If ``out`` is a file or holds anything but an import.
        NotWrittenError
            If the disk refuses.

        """
        check_output(out)
        self._refuse_to_empty(out)
        metadata = self.info.export_scope.metadata()
        tables = {"events": self.tables.events, "rejected": self.tables.rejected}
        if self.pairs.height:
            tables["pairs"] = self.pairs
        with replacing(out) as folder:
            folder.mkdir()
            self._write_large(folder, metadata, progress)
            for name, frame in tables.items():
                with _ParquetFile(folder / f"{name}.parquet", metadata) as file:
                    file.add(frame)
            _write_json(folder / "dataset.json", self._document())
            _write_json(folder / "summary.json", self.summary)

    def _refuse_to_empty(self, out: Path) -> None:
        """Raise if the folder has a log with feedback and this one has none."""
        try:
            earlier = json.loads((out / "summary.json").read_bytes())
            had = int(earlier["rated"]) + int(earlier["gold"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if had and not self.summary["rated"] + self.summary["gold"]:
            raise UsageError(
                f"--out {out} has a log with feedback on {had:,} responses, and this import has none: it is "
                "kept; name a new folder"
            )

    def _write_large(self, folder: Path, metadata: Mapping[str, str], progress: Progress) -> None:
        """Write responses and log in two threads, since each takes as long as the other."""
        ranges = self.tables.ranges
        done = 0
        group = min(ROW_GROUP, rows_for(ranges.text_bytes / max(ranges.height, 1)))
        with (
            _ParquetFile(folder / "responses.parquet", metadata, group) as responses,
            _ParquetFile(folder / "log.parquet", metadata, group) as log,
            ThreadPoolExecutor(2) as threads,
        ):
            for parts in prefetched(self.parts()):
                pairs = zip((responses, log), parts, strict=True)
                for future in [threads.submit(file.add, part) for file, part in pairs]:
                    future.result()
                done += parts[0].height
                progress("writing responses", done, ranges.height)

    def _document(self) -> dict[str, Any]:
        """Describe the data set so that importing the two tables gives the same log."""
        info, ranges = self.info, self.tables.ranges
        channels: dict[str, dict[str, Any]] = {name: {} for name in self.tables.channels}
        for name, (low, high) in info.scales.items():
            channels.setdefault(name, {}).update({"min": low, "max": high})
        for name, window in info.windows.items():
            spans = [[None if t is None else t.isoformat() for t in span] for span in window.spans]
            where = {"where": dict(window.where)} if window.where else {}
            channels.setdefault(name, {}).update({"available": spans, **where})
        return {
            "schema": SCHEMA,
            "reader": self.source.name,
            "coverage": info.export_scope.level,
            "window": [t.isoformat() for t in ranges.time_span],
            "channels": dict(sorted(channels.items())),
            "label_map": {"positive": list(info.positive), "negative": list(info.negative)},
            "id_hash": {"algorithm": "hmac-sha256"},
            "counts": {
                "responses": ranges.height,
                "rated": self.summary["rated"],
                "events": self.tables.events.height,
            },
        }


def check_output(out: Path) -> None:
    """Raise if writing to ``out`` would replace anything but an import.

    Parameters
    ----------
    out : Path
        The folder to write.

    Raises
    ------
    UsageError
        If it is a file, or a folder with other files.

    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a folder to write")
    if out.is_dir() and any(out.iterdir()) and not (out / "summary.json").is_file():
        raise UsageError(f"--out {out} holds other files than an import: name a new folder")


class _ParquetFile:
    """Writes a Parquet file whose row groups do not depend on the sizes of the added batches."""

    def __init__(self, path: Path, metadata: Mapping[str, str], group: int | None = None) -> None:
        self.path, self.metadata, self.group = path, metadata, group or ROW_GROUP
        self.pending: pl.DataFrame | None = None
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, and write the full row groups."""
        rows = rows if self.pending is None else self.pending.vstack(rows)
        full = rows.height // self.group * self.group
        for part in rows[:full].iter_slices(self.group) if full else ():
            self._write(part)
        self.pending = rows[full:]

    def _write(self, rows: pl.DataFrame) -> None:
        # pages start anew in each chunk, and chunks depend on the ranges
        table = rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        if self.writer is None:
            schema = table.schema.with_metadata(dict(self.metadata))
            self.writer = pq.ParquetWriter(self.path, schema, compression="zstd")
        self.writer.write_table(pa.table(table.columns, schema=self.writer.schema))

    def __exit__(self, kind: object, *_: object) -> None:
        if (
            kind is None
            and self.pending is not None
            and (self.pending.height or self.writer is None)
        ):
            self._write(self.pending)
        if self.writer is not None:
            self.writer.close()


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", "utf-8")
