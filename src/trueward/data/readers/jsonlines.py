"""JSON lines (or one JSON array of records), plain or gzipped."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from typing import IO, TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .cells import Place
from .messages import shown
from .table import Table, joined, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .cells import Column
    from .names import Want

CHUNK = 20_000  # rows held as Python objects at a time


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacked when its name ends in .gz."""
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def read(path: Path, want: Want) -> Table:
    """Read the records, a chunk at a time."""
    chunks: dict[str, list[Column]] = {}
    names: dict[str, None] = {}
    lines: list[int] = []
    records = _array(path) if _is_array(path) else _lines(path)
    while batch := list(itertools.islice(records, CHUNK)):
        for _, record in batch:
            names |= dict.fromkeys(record)
        for name in filter(want, names):
            before = [pl.Series([None] * len(lines), dtype=pl.Null)] if lines else []
            column = settled([record.get(name) for _, record in batch])
            chunks.setdefault(name, [*before]).append(column)
        lines += [number for number, _ in batch]
    unit = "record" if _is_array(path) else "line"
    gapless = not lines or lines[-1] == len(lines)
    place = Place(str(path), unit, None if gapless else lines)
    return Table({name: joined(column) for name, column in chunks.items()}, tuple(names), place)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line number, record); blank lines are skipped."""
    with opened(path) as file:
        for number, raw in enumerate(unpacked(file, path), 1):
            line = decoded(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, number, path)
            if line and not line.isspace():
                yield number, _record(line.rstrip("\r\n"), f"line {number} of {path}")


def unpacked(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the lines of ``file``; a gzip file must be whole."""
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise broken_gzip(path) from e


def broken_gzip(path: Path) -> TruewardError:
    """Give the error about a gzip file that ends early or is none."""
    return TruewardError(
        f"{path} should be a whole gzip file, but it is cut off or damaged: write or copy it again"
    )


def decoded(raw: bytes, number: int, path: Path) -> str:
    """Decode one line."""
    try:
        return raw.decode()
    except UnicodeDecodeError as e:
        raise TruewardError(
            f"{path} should be UTF-8 text, but line {number} has the byte 0x{raw[e.start]:02x} "
            f"at place {e.start + 1}: save the file as UTF-8"
        ) from e


def _record(line: str, where: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as e:
        reason = f"{e.msg}: character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else e
        raise TruewardError(
            f"{where} should be one JSON object, but it cannot be read ({reason}): correct or "
            "drop that line"
        ) from e
    return _object(record, where)


def _object(record: object, where: str) -> dict[str, object]:
    if not isinstance(record, dict):
        raise TruewardError(
            f'{where} should be a JSON object such as {{"prompt": ..., "response": ...}}, but it '
            f"is {shown(record)}: write one object per row"
        )
    return record


def _is_array(path: Path) -> bool:
    """Say whether a .json file holds one array; every other name means JSON lines."""
    if path.name.lower().removesuffix(".gz").endswith(".json"):
        with opened(path) as file:
            for raw in unpacked(file, path):
                if start := raw.removeprefix(b"\xef\xbb\xbf").strip():
                    return start.startswith(b"[")
    return False


def _array(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with opened(path) as file:
        lines = [decoded(raw, i, path) for i, raw in enumerate(unpacked(file, path), 1)]
    try:
        records = json.loads("".join(lines).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as e:
        at = f" (line {e.lineno}: {e.msg})" if isinstance(e, json.JSONDecodeError) else f" ({e})"
        raise TruewardError(
            f"{path} should be one JSON array of objects, but it cannot be read{at}: correct it, "
            "or write one object per line"
        ) from e
    for number, record in enumerate(records, 1):
        yield number, _object(record, f"record {number} of {path}")
