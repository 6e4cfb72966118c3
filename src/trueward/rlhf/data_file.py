"""Training data of a log of any size: prompts in buckets on disk, one of them in memory."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from trueward.core.atomic_io import replacing
from trueward.core.errors import NotWrittenError
from trueward.core.work_parts import WorkParts, parts_folder
from trueward.model.reward_model import load

from .data import known_kind, no_rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trueward.data.pair_table import PairTable

ROWS = 65_536  # of a bucket, about
MOST = 512  # buckets: each is an open file while the log is divided


def training_file(
    kind: str,
    model: str | Path,
    table: PairTable,
    out: Path,
    *,
    least: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the training data of a large log; see `trueward.training_data` for the kinds.

    The rows are divided by the digest of their prompt into buckets of about 65,536 rows, and each bucket is
    scored and ranked in memory. Rows of the result come bucket by bucket. A stopped call continues after the
    last finished bucket.

    Parameters
    ----------
    kind : {"trl-pairs", "trl-kto", "nemo", "verl"}
        What to write.
    model : str or Path
        Folder of the model.
    table : PairTable
        The log.
    out : Path
        File to write: .parquet or .jsonl.
    least : float, default 0.5
        Smallest difference of logits between the best and the worst response of a prompt.
    progress : callable or None
        Called with the numbers of finished buckets and of all.

    Returns
    -------
    int
        Rows of the result.

    Raises
    ------
    TruewardError
        If no prompt gives a row, or the folder of parts holds those of other work.
    NotWrittenError
        If a disk is full; finished buckets are kept.

    """
    known_kind(kind)
    rm = load(model)
    count = min(MOST, -(-table.rows // ROWS))
    key: dict[str, object] = {
        "kind": kind,
        "least": least,
        "model": hashlib.sha256((Path(model) / "model.json").read_bytes()).hexdigest(),
        "table": table.fingerprint,
        "map": dict(table.mapping or {}),
        "version": version("trueward"),
    }
    folder = parts_folder(out)
    parts = WorkParts.open(folder, count, ".parquet", key)
    buckets = _divided(table, folder, count)

    def make(number: int, path: Path) -> None:
        frame = pl.read_parquet(buckets / f"{number:05d}.parquet")
        pl.DataFrame(rows_of(kind, rm, frame, least)).write_parquet(path)

    parts.run(make, lambda done: progress(done, count) if progress else None)
    rows: int = sum(pq.read_metadata(parts.path(k)).num_rows for k in range(count))
    if not rows:
        shutil.rmtree(folder, ignore_errors=True)  # other options are other work
        raise no_rows(table.source, kind, least)
    parts.finish(lambda files: _join(files, out))
    return rows


def _divided(table: PairTable, folder: Path, count: int) -> Path:
    """Write the rows into one file for each bucket, in the order of the log; or find them there."""
    buckets, new = folder / "buckets", folder / "buckets.new"
    if buckets.is_dir():
        return buckets
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir()
        with ExitStack() as stack:
            files: dict[int, pq.ParquetWriter] = {}
            for part in range(table.count):
                frame = table.read(part).select("prompt", "response", "prompt_id")
                ids = (zlib.crc32(text.encode()) % count for text in frame["prompt_id"])
                frame = frame.with_columns(
                    pl.Series("bucket", np.fromiter(ids, np.int64, len(frame)))
                )
                for (number,), rows in frame.partition_by(
                    "bucket", as_dict=True, maintain_order=True, include_key=False
                ).items():
                    arrow = rows.to_arrow()
                    if number not in files:
                        path = new / f"{number:05d}.parquet"
                        writer = pq.ParquetWriter(path, arrow.schema, compression="zstd")
                        files[int(number)] = stack.enter_context(writer)
                    files[int(number)].write_table(arrow)
            for number in set(range(count)) - set(files):
                frame[:0].drop("bucket").write_parquet(new / f"{number:05d}.parquet")
        new.rename(buckets)
    except OSError as e:
        raise NotWrittenError(
            f"the log could not be divided in {folder} ({e.strerror or e}): free disk space, or choose "
            "another place"
        ) from e
    return buckets


def _join(files: Iterable[Path], out: Path) -> None:
    """Write the rows of the buckets as one file."""
    frames = (frame for path in files if (frame := pl.read_parquet(path)).width)
    rows = 0
    with replacing(out) as new, ExitStack() as stack:
        writer = lines = None
        for frame in frames:
            frame = _numbered(frame, rows)  # noqa: PLW2901 - the same rows
            rows += len(frame)
            if out.suffix == ".jsonl":
                lines = lines or stack.enter_context(new.open("wb"))
                frame.write_ndjson(lines)
                continue
            arrow = frame.to_arrow()
            writer = writer or stack.enter_context(
                pq.ParquetWriter(new, arrow.schema, compression="zstd")
            )
            writer.write_table(arrow.cast(writer.schema))


def _numbered(frame: pl.DataFrame, first: int) -> pl.DataFrame:
    """Number the prompts of verl over all buckets."""
    if "extra_info" not in frame.columns:
        return frame
    number = pl.col("extra_info").struct.field("index") + first
    return frame.with_columns(pl.col("extra_info").struct.with_fields(number.alias("index")))
