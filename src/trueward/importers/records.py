"""Raw records of any file, one at a time: JSON lines, JSON, CSV, Parquet; plain, gzip or zstd.

What cannot be read is given as a `Lost` in its place, so that it is counted and the rest goes on.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from trueward.core.errors import TruewardError, UsageError
from trueward.data.readers import refuse_uri
from trueward.data.readers.columnar import DAMAGE
from trueward.data.readers.messages import shown

from .arrays import documents
from .contract import Record

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

BATCH = 10_000  # rows of a Parquet file held as Python objects at a time
LONGEST = 1 << 28  # bytes of one line; a longer one is passed over without being held
QUERY = ".sql"
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
PACKED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class Lost:
    """A stretch of a file that is no record."""

    file: str
    line: int
    reason: str


def ending(path: Path) -> str:
    """Give the format that the name of a file says, without its packing; empty if unknown."""
    name = path.name.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return next((e for e in ENDINGS if name.endswith(e)), "")


def files(paths: Sequence[Path]) -> list[Path]:
    """Give the files that are named, and those with a known ending below the folders that are."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            refuse_uri(path)
            raise TruewardError(f"there is no file {path}: check the path")
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and ending(p))
            kept = [p for p in below if p.parent.name != "manifests" and p.name != "summary.json"]
            if (
                path / "dataset.json"
            ).is_file():  # an import: its log and its account are no tables of it
                kept = [
                    p for p in kept if p.name.split(".")[0] in {"responses", "events", "dataset"}
                ]
            found += kept
        elif not ending(path) and path.suffix != QUERY:
            raise UsageError(
                f"{path} should end in one of {', '.join(ENDINGS)}, {QUERY}, packed as .gz or .zst or not: "
                "name a file of the export"
            )
        else:
            found.append(path)
    if not found:
        raise TruewardError(
            f"{paths[0]} should hold files of an export ({', '.join(ENDINGS)}), but has none: name them"
        )
    return sorted(set(found))


def records(path: Path) -> Generator[Record | Lost, None, None]:
    """Yield every record of a file in its order."""
    kind = ending(path)
    try:
        if kind == ".parquet":
            yield from _parquet(path)
            return
        with _opened(path) as file:
            if kind == ".csv":
                yield from _csv(file, str(path))
            elif kind == ".json":
                yield from _json(file, str(path))
            else:
                yield from _lines(file, str(path))
    except PermissionError as e:
        raise TruewardError(f"{path} should be readable, but you may not read it: copy it") from e
    except OSError as e:
        if not isinstance(e, gzip.BadGzipFile) and not path.name.endswith(".zst"):
            raise TruewardError(f"{path} cannot be read ({e.strerror or e}): check the disk") from e
        yield Lost(str(path), 0, "the packed file is cut off or damaged")
    except (EOFError, zlib.error):
        yield Lost(str(path), 0, "the packed file is cut off: what follows is missing")


def _opened(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path)  # type: ignore[return-value]
    if name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _lines(file: IO[bytes], name: str) -> Iterator[Record | Lost]:
    number = 0
    while raw := file.readline(LONGEST):
        number += 1
        if len(raw) == LONGEST and not raw.endswith(b"\n"):
            while rest := file.readline(1 << 20):
                if rest.endswith(b"\n"):
                    break
            yield Lost(name, number, f"the line is longer than {LONGEST:,} bytes")
            continue
        if raw := raw.strip().removeprefix(b"\xef\xbb\xbf"):
            yield _record(raw, name, number)


def _record(raw: bytes, name: str, number: int) -> Record | Lost:
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError as e:
        return Lost(
            name, number, f"invalid UTF-8: byte 0x{raw[e.start]:02x} at place {e.start + 1}"
        )
    except (ValueError, RecursionError) as e:
        reason = f"{e.msg}: character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else e
        return Lost(name, number, f"invalid JSON ({reason})")
    return _object(value, name, number)


def _object(value: Any, name: str, number: int) -> Record | Lost:
    if isinstance(value, dict):
        return Record(value, name, number)
    return Lost(name, number, f"should be a JSON object, and is {shown(value)}")


def _json(file: IO[bytes], name: str) -> Iterator[Record | Lost]:
    """Yield the elements of an array, of the lists that a page or an envelope holds, or the documents."""
    for line, value, reason in documents(file, LONGEST):
        if reason:
            yield Lost(name, line, reason)
        elif (inner := _enveloped(value)) is not None:
            for held in inner:
                yield _object(held, name, line)
        else:
            yield _object(value, name, line)


def _enveloped(value: Any) -> list[Any] | None:
    """Give the records of an API page or an export with a header; None where the value is a record."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("feedback_data"), list):
        return list(value["feedback_data"])
    inner = value.get("data")
    page = {"meta", "next_cursor", "limit", "has_more", "page", "total", "count", "error"}
    if isinstance(inner, list) and not (value.keys() - page - {"data"}):
        return inner
    return None


def _csv(file: IO[bytes], name: str) -> Iterator[Record | Lost]:
    """Yield the rows; bytes that are no UTF-8 stay marked, so that only their row is lost."""
    csv.field_size_limit(LONGEST)
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        lines = _Lines(text)
        rows = csv.reader(lines)
        header: list[str] | None = None
        while True:
            start = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as e:
                yield Lost(name, start, f"invalid CSV ({e})")
                continue
            if cells is None:
                return
            if header is None:
                header = cells or None
                if len(set(cells)) < len(cells):
                    yield Lost(name, start, "the header names a column twice: the file is not read")
                    return
            elif cells:
                yield _row(header, cells, name, start)


class _Lines:
    """The lines of a text; one that is too long is passed over without being held."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.number = text, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.text.readline(LONGEST)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST and not line.endswith(("\n", "\r")):
            while (rest := self.text.readline(1 << 20)) and not rest.endswith(("\n", "\r")):
                pass
            raise csv.Error(f"the line is longer than {LONGEST:,} characters")
        return line


def _row(header: list[str], cells: list[str], name: str, start: int) -> Record | Lost:
    if len(cells) != len(header):
        return Lost(name, start, f"has {len(cells)} cells where the header has {len(header)}")
    if any("\udc80" <= c <= "\udcff" for cell in cells if not cell.isascii() for c in cell):
        return Lost(name, start, "invalid UTF-8")
    return Record(dict(zip(header, cells, strict=True)), name, start)


def _parquet(path: Path) -> Iterator[Record | Lost]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                for value in batch.to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    yield Record(value, str(path), number)
    except PermissionError:
        raise
    except DAMAGE as e:
        reason = " ".join(str(e).split())[:100]
        yield Lost(str(path), number + 1, f"the Parquet file is cut off or damaged ({reason})")
