"""Rows of a delimited file as records, one at a time, each with the line where it starts."""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, Self

from trueward.data.formula_cells import is_marked, original_names, unmarked
from trueward.data.readers.json_stream import INVALID_BYTES

from .contract import Record
from .line_blocks import SKIP_STEP, UnreadableRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.data.readers.delimited import Dialect


def csv_records(
    file: IO[bytes], name: str, dialect: Dialect, longest: int
) -> Iterator[Record | UnreadableRecord]:
    """Yield the rows; bytes that are not UTF-8 stay marked, so that only their row is lost.

    Parameters
    ----------
    file : binary file
        The text.
    name : str
        Path of the file.
    dialect : Dialect
        Separator and encoding.
    longest : int
        Characters of a line that is too long.

    Yields
    ------
    Record or UnreadableRecord
        The rows after the header.

    """
    csv.field_size_limit(longest)
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    with io.TextIOWrapper(file, encoding, errors=errors, newline="") as text:
        lines = _BoundedLines(text, longest)
        rows = csv.reader(lines, delimiter=dialect.separator)
        header: list[str] | None = None
        marked = False
        while True:
            start = lines.number + 1
            try:
                cells = next(rows, None)
            except csv.Error as e:
                yield UnreadableRecord(name, start, f"invalid CSV ({e})")
                continue
            if cells is None:
                return
            if header is None:
                header, marked = list(original_names(cells).values()) or None, is_marked(cells)
                if len(set(cells)) < len(cells):
                    reason = "the header names a column twice: the file is not read"
                    yield UnreadableRecord(name, start, reason)
                    return
            elif cells:
                texts = [unmarked(cell) for cell in cells[:-1]] if marked else cells
                yield _csv_row(header, texts, name, start)


class _BoundedLines:
    """The lines of a text; one that is too long is skipped without being held in memory."""

    def __init__(self, text: io.TextIOWrapper, longest: int) -> None:
        self.text, self.longest, self.number = text, longest, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.text.readline(self.longest)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == self.longest and not line.endswith(("\n", "\r")):
            while (rest := self.text.readline(SKIP_STEP)) and not rest.endswith(("\n", "\r")):
                pass
            raise csv.Error(f"the line is longer than {self.longest:,} characters")
        return line


def _csv_row(
    header: list[str], cells: list[str], name: str, start: int
) -> Record | UnreadableRecord:
    if len(cells) + 1 == len(header) and header[-1] == "timestamp" and "flag" in header:
        cells = [*cells[:-1], "", cells[-1]]  # Gradio leaves out an empty flag or user name
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells where the header has {len(header)}"
        return UnreadableRecord(name, start, reason)
    if any(INVALID_BYTES.search(cell) for cell in cells if not cell.isascii()):
        return UnreadableRecord(name, start, "invalid UTF-8")
    return Record(dict(zip(header, cells, strict=True)), name, start)
