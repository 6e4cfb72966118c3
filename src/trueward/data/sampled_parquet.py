"""Read a log and sample its unrated rows; a Parquet file is never held as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.remote_files import local_path

from .digests import prompt_ids
from .gold import read_gold
from .log_columns import FAMILIES, OPTIONAL, REQUIRED, may_be_context
from .log_reading import read_log
from .readers import match_columns, wanted_columns
from .readers.columnar import export_scope
from .readers.folders import is_import
from .unrated_sampling import (
    choose,
    content_digests,
    digest,
    number_to_keep,
    rated_rows,
    sample_unrated,
    weighted_rows,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from .log import Log

ROWS = 65_536  # rows of a file that are in memory at once
LARGE = 200_000  # rows from which a Parquet file is read in parts


def read_sampled_log(
    source: str | os.PathLike[str] | object,
    per_rated: float | str = "auto",
    seed: int = 0,
    *,
    gold: str | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **words: Any,
) -> Log:
    """Read a log, join gold labels, and sample its unrated rows; see `sample_unrated`.

    A Parquet file of more than 200,000 rows whose texts are strings and whose feedback is 1, 0 or null is
    read twice in parts: once to choose the rows, once for the texts of the chosen ones. Any other source is
    read as a whole. The result is the same.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    per_rated : float or "auto", default "auto"
        Unrated rows to keep for each rated one.
    seed : int, default 0
        Seed of the sample.
    gold : str or None
        A table of prompt, response and gold; rows with a label are kept.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    **words
        ``positive``, ``negative`` and ``unrated`` of `read_log`.

    Returns
    -------
    Log
        The kept rows with their weights.

    Raises
    ------
    TruewardError
        As `read_log`.

    """
    path = None if split is not None or words else large_parquet(source)
    columns = None if path is None else _readable_in_parts(path, mapping)
    if path is None or columns is None:
        log = read_log(source, mapping=mapping, split=split, **words)
        log = log if gold is None else log.with_gold(gold)
        return sample_unrated(log, per_rated, seed)
    labelled = set() if gold is None else _labelled(gold)
    parts = [_facts(part, labelled, seed) for part in _parts(path, columns)]
    facts = [part for part in parts if part is not None]
    rated, prompt, row = (np.concatenate(column) for column in zip(*facts, strict=True))
    if len(facts) < len(parts) or not rated.any():  # a text is missing, or channels alone
        log = read_log(source, mapping=mapping)
        return sample_unrated(log if gold is None else log.with_gold(gold), per_rated, seed)
    kept, keep, share = number_to_keep(rated, per_rated), np.ones(len(rated), dtype=bool), 1.0
    if kept is not None:
        keep, share = choose(rated, (prompt, row), kept, seed)
    log = read_log(_kept_rows(path, mapping, keep), mapping=mapping)
    log = replace(log, source=str(source), export_scope=export_scope(path))
    if kept is not None:
        log = weighted_rows(log, rated[keep], np.ones(len(log), dtype=bool), share)
    return log if gold is None else log.with_gold(gold)


def large_parquet(source: object) -> Path | None:
    """Return the path of a Parquet file with many rows; None for any other source."""
    if not isinstance(source, str | Path):
        return None
    path = local_path(source)
    if path.is_dir() and is_import(path):
        path /= "log.parquet"
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return None
    try:
        return path if pq.read_metadata(path).num_rows > LARGE else None
    except (pa.ArrowException, OSError, ValueError):
        return None  # its reader says what is wrong


def _readable_in_parts(path: Path, mapping: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return canonical name -> column, if parts of the file can be read alone."""
    schema = pq.read_schema(path)
    wanted = wanted_columns((*REQUIRED, *OPTIONAL), FAMILIES, mapping)
    names = match_columns(wanted, schema.names, str(path))
    if not {"prompt", "response", "feedback"} <= names.keys():
        return None
    kinds = {name: schema.field(column).type for name, column in names.items()}
    texts = all(_is_text(kinds[n]) for n in ("prompt", "response", "prompt_id") if n in kinds)
    numbers = all(_is_number(kinds[n]) for n in ("feedback", "gold") if n in kinds)
    used = ("prompt", "prompt_id", "response", "feedback", "gold", "user_id", "model")
    return {n: names[n] for n in used if n in names} if texts and numbers else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _parts(path: Path, columns: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS, columns=[*dict.fromkeys(columns.values())]):
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            yield frame.select(pl.col(column).alias(name) for name, column in columns.items())


def _facts(
    frame: pl.DataFrame, labelled: set[int], seed: int
) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any]] | None:
    """Which rows of a part are rated, and the digests of all; None if a text is missing."""
    texts = [n for n in ("prompt", "response", "prompt_id") if n in frame.columns]
    if any(frame[name].null_count() for name in texts):
        return None
    if "prompt_id" not in frame.columns:
        frame = frame.with_columns(prompt_ids(frame["prompt"]))
    rated = rated_rows(frame)
    if labelled:
        pairs = zip(frame["prompt"], frame["response"], strict=True)
        rated |= np.fromiter((_pair(*pair) in labelled for pair in pairs), bool, len(frame))
    return rated, *content_digests(frame, seed)


def _labelled(gold: str) -> set[int]:
    table = read_gold(gold, None, None, {})
    return {_pair(*texts) for texts in zip(table["prompt"], table["response"], strict=True)}


def _pair(prompt: str, response: str) -> int:
    return digest(f"{len(prompt)}\x1f{prompt}\x1f{response}", b"pair")


def _kept_rows(
    path: Path, mapping: Mapping[str, str] | None, keep: NDArray[np.bool_]
) -> pl.DataFrame:
    """Read the kept rows of all columns that a log may use."""
    wanted = wanted_columns((*REQUIRED, *OPTIONAL), FAMILIES, mapping)
    wanted = replace(wanted, also=may_be_context)
    kept, start = [], 0
    with pq.ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if wanted(name)]
        for batch in file.iter_batches(ROWS, columns=columns):
            mask = pa.array(keep[start : start + len(batch)])
            kept.append(pa.Table.from_batches([batch.filter(mask)]))
            start += len(batch)
    return pl.DataFrame(pl.from_arrow(pa.concat_tables(kept)))
