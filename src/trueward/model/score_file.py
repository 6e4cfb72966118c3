"""Score a table in parts: bounded memory, a stopped run continues, several processes share the work."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.atomic_io import replacing
from trueward.core.errors import UsageError
from trueward.core.ray_cluster import Cluster
from trueward.core.remote_files import is_address, output_address
from trueward.core.work_parts import WorkParts, parts_folder
from trueward.data.formula_cells import write_csv
from trueward.data.log_columns import PAIR_COLUMNS
from trueward.features.named_servers import ALLOWED

from .table_scores import TableScores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "trueward.work"  # in the metadata of a result: the digest of what it was made from


@dataclass(frozen=True)
class ScoredFile:
    """Result of `score_file`.

    Attributes
    ----------
    rows : int
        Rows of the table.
    decided : int or None
        Rows with a decision; None without ``confidence``.
    parts : int
        Parts that this call computed.

    """

    rows: int
    decided: int | None
    parts: int


def score_file(
    model: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    confidence: float | None = None,
    by_class: bool = False,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    queue: bool = False,
    ray: Cluster | str | None = None,
    safe_csv: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> ScoredFile:
    """Score the prompts and responses of a table, part by part, and write them with their scores.

    Parts of 32,768 rows are written to the folder ``OUT.parts``. A stopped call continues there when it is
    repeated. At the end they are joined to ``out``, one group of rows a part, and the folder is removed. Of a
    Parquet file one part is in memory at a time; other formats are read as a whole.

    Parameters
    ----------
    model : str or Path
        Folder of the model.
    source : str or Path
        Table of prompt and response.
    out : str or Path
        File to write: .parquet, .jsonl or .csv.
    confidence : float or None
        Add a column ``decision``: 1, 0, or null below this confidence; needs a calibrated model.
    by_class : bool, default False
        Whether the confidence holds among good and among bad responses.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    queue : bool, default False
        Share the parts with other processes that score the same table to the same file. The result has the
        same bytes as that of one process.
    ray : Cluster, str or None
        Score in actors of a Ray cluster: its address, ``local`` for one on this machine, or a
        `trueward.scale.Cluster`. All nodes must see the model, the table and the folder of ``out``.
    safe_csv : bool, default True
        CSV: mark texts that a spreadsheet would run as formulas.
    progress : callable or None
        Called with the numbers of finished parts and of all parts.

    Returns
    -------
    ScoredFile

    Raises
    ------
    TruewardError
        If the table or the model cannot be read, or ``OUT.parts`` holds parts of other work.

    Examples
    --------
    >>> import trueward as tw
    >>> tw.score_file("rm", "responses.parquet", "scored.parquet")  # doctest: +SKIP

    """
    out, cluster = Path(out), Cluster.of(ray)
    if queue and (address := output_address(out)):
        raise UsageError(
            f"several processes share a folder, and {address} is none: give another out, and copy it there"
        )
    if queue and out.suffix != ".parquet":
        raise UsageError(
            f"several processes write .parquet together, not {out.suffix}: give another out"
        )
    options: dict[str, Any] = {"confidence": confidence, "by_class": by_class}
    options |= {"mapping": mapping, "split": split}
    scores = TableScores.open(str(model), str(source), **options)
    count = scores.table.count
    mark = hashlib.sha256(json.dumps([scores.key, count]).encode()).hexdigest()
    if queue and _mark(out) == mark:  # others have finished before this process began
        return ScoredFile(*_counts(out), 0)
    folder = parts_folder(out)
    parts = WorkParts.open(folder, count, ".parquet", scores.key)
    made = 0
    if cluster is not None:
        places = [str(Path(model).resolve()), str(source)]
        if not is_address(source):
            places[1] = str(Path(source).resolve())
        begin = partial(_part_maker, folder.resolve(), places, options, frozenset(ALLOWED))
        missing = [part for part in range(count) if not parts.done(part)]
        for part_made in cluster.results(begin, missing):
            made += part_made
            if progress:
                progress(count - len(missing) + made, count)
    made += parts.run(scores.make, lambda n: progress(n, count) if progress else None)
    counts: list[tuple[int, int | None]] = [(0, None)]

    def join(files: list[Path]) -> None:
        counts[0] = _joined(files, out, mark, safe_csv=safe_csv)

    return ScoredFile(*(counts[0] if parts.finish(join) else _counts(out)), made)


def _part_maker(
    folder: Path, places: list[str], options: Mapping[str, Any], allowed: frozenset[str]
) -> Callable[[int], int]:
    """Return what makes one part in an actor, if its model, table and version are those of the parts."""
    WorkParts.require(folder)
    ALLOWED.update(allowed)
    scores = TableScores.open(*places, **options)
    parts = WorkParts.open(folder, scores.table.count, ".parquet", scores.key)
    return lambda part: parts.run(scores.make, lambda _: None, [part])


def _joined(files: list[Path], out: Path, mark: str, *, safe_csv: bool) -> tuple[int, int | None]:
    """Write the parts as one file; return the numbers of rows and of decided rows."""
    if out.suffix == ".csv":  # whether it has a column of formula cells depends on all rows
        frame = pl.concat([pl.read_parquet(path) for path in files], how="diagonal_relaxed")
        with replacing(out) as new:
            write_csv(frame, new, safe=safe_csv)
        return _tally([frame])
    schema = _schema(files)
    with replacing(out) as new:
        if out.suffix == ".jsonl":
            with new.open("wb") as file:
                for path in files:
                    _in_schema(path, schema).write_ndjson(file)
        else:
            arrow = pl.DataFrame(schema=schema).to_arrow().schema.with_metadata({MARK: mark})
            with pq.ParquetWriter(new, arrow, compression="zstd") as writer:
                for path in files:
                    writer.write_table(_in_schema(path, schema).to_arrow().cast(arrow))
    return _tally([pl.read_parquet(path, columns=_decision(schema)) for path in files])


def _schema(files: list[Path]) -> pl.Schema:
    """Columns of all parts in order; a column without a value in one part is absent there."""
    found: dict[str, pl.DataType] = {}
    for path in files:
        for name, kind in pl.read_parquet_schema(path).items():
            if found.get(name, pl.Null()) == pl.Null():
                found[name] = kind
    first = [name for name in PAIR_COLUMNS if name in found]
    return pl.Schema({n: found[n] for n in (*first, *(n for n in found if n not in first))})


def _in_schema(path: Path, schema: pl.Schema) -> pl.DataFrame:
    frame = pl.read_parquet(path)
    absent = [pl.lit(None, kind).alias(n) for n, kind in schema.items() if n not in frame.columns]
    return frame.with_columns(absent).select(list(schema)).cast(schema)


def _decision(schema: Mapping[str, object]) -> list[str]:
    return ["decision"] if "decision" in schema else ["prompt_id"]


def _tally(frames: list[pl.DataFrame]) -> tuple[int, int | None]:
    rows = sum(map(len, frames))
    if "decision" not in frames[0].columns:
        return rows, None
    return rows, sum(len(f) - f["decision"].null_count() for f in frames)


def _counts(out: Path) -> tuple[int, int | None]:
    """Return the numbers of rows and of decided rows of a file that another process wrote."""
    return _tally([pl.read_parquet(out, columns=_decision(pl.read_parquet_schema(out)))])


def _mark(out: Path) -> str | None:
    """Return what work a file is the result of; None if it does not say."""
    with suppress(OSError, pa.ArrowException):
        return (pq.read_schema(out).metadata or {}).get(MARK.encode(), b"").decode() or None
    return None
