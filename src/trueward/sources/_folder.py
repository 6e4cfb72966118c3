"""An import as a folder: the two tables, the log, and the account, all of it or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.errors import UsageError
from trueward.files import replacing

from ._about import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ._gather import Gathered

SLICE = 500_000  # rows turned into Arrow at a time


def claimed(out: Path) -> None:
    """Refuse to replace anything but an import, before any work."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; name a folder to write")
    if out.is_dir() and any(out.iterdir()) and not (out / "summary.json").is_file():
        raise UsageError(f"--out {out} holds other files than an import: name a new folder")


def write(made: Gathered, out: Path) -> None:
    """Write the folder; an earlier import there is replaced in one step."""
    claimed(out)
    about = made.about.coverage.metadata()
    tables = {
        "responses": made.tables.responses,
        "events": made.tables.events,
        "log": made.log,
        "rejected": made.tables.rejected,
    }
    if made.pairs.height:
        tables["pairs"] = made.pairs
    with replacing(out) as folder:
        folder.mkdir()
        for name, frame in tables.items():
            _parquet(frame, folder / f"{name}.parquet", about)
        _json(folder / "dataset.json", _document(made))
        _json(folder / "summary.json", made.summary)


def _parquet(frame: pl.DataFrame, path: Path, about: Mapping[str, str]) -> None:
    schema = (
        frame.head(0)
        .to_arrow(compat_level=pl.CompatLevel.oldest())
        .schema.with_metadata(dict(about))
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in frame.iter_slices(SLICE):
            table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer.write_table(pa.table(table.columns, schema=schema))


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
    )


def _document(made: Gathered) -> dict[str, Any]:
    """Describe the data set so that an import of the two tables gives the same log."""
    about, responses = made.about, made.tables.responses
    times = [t for t in (responses["shown_at"].min(), responses["shown_at"].max()) if t is not None]
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
        "coverage": about.coverage.level,
        "window": [t.isoformat() for t in times],  # type: ignore[union-attr]
        "channels": dict(sorted(channels.items())),
        "label_map": {"positive": list(about.positive), "negative": list(about.negative)},
        "id_hash": {"algorithm": "hmac-sha256"},
        "counts": {
            "responses": responses.height,
            "rated": made.summary["rated"],
            "events": made.tables.events.height,
        },
    }
