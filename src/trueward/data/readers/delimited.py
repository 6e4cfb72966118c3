"""Separator and encoding of a delimited text file, from its first bytes or as the user says."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError

from .text_files import open_packed

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = 1 << 20  # bytes
ROWS = 200  # rows of the sample that decide on the separator
SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FALLBACK = "cp1252"  # what Excel writes in Western Europe and America
AGREE = 0.9  # share of the rows with as many cells as the header


@dataclass(frozen=True)
class Reading:
    """What the user says about a table; None is found out.

    Attributes
    ----------
    separator : str or None
        One character, or ``tab``.
    encoding : str or None
        Such as ``cp1252``.
    table : str or None
        Table of a database, or sheet of a workbook.
    dates : str or None
        Format of dates, such as ``%d.%m.%Y %H:%M``.
    guess : bool
        Whether to guess an encoding that is not UTF-8; a product always writes UTF-8.

    """

    separator: str | None = None
    encoding: str | None = None
    table: str | None = None
    dates: str | None = None
    guess: bool = False

    def __post_init__(self) -> None:
        """Check separator and encoding."""
        if self.separator is not None and len(self.delimiter or "") != 1:
            raise UsageError(f"a separator is one character or tab, not {self.separator!r}")
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            raise UsageError(
                f"there is no encoding {self.encoding!r}; usual ones are utf-8, utf-16, cp1252, latin-1"
            ) from None

    @property
    def delimiter(self) -> str | None:
        """The separator as a character."""
        return {"tab": "\t", "\\t": "\t"}.get(self.separator or "", self.separator)


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    Attributes
    ----------
    separator : str
        One character.
    encoding : str
        A codec.
    guessed : bool
        Whether the encoding is a guess, because the file is not UTF-8 and has no mark.

    """

    separator: str
    encoding: str
    guessed: bool = False

    def __str__(self) -> str:
        """Return separator and encoding in words."""
        name = NAMES.get(self.separator, repr(self.separator))
        guess = (
            " (a guess, since it is not UTF-8: --encoding says otherwise)" if self.guessed else ""
        )
        return f"separator {name}, encoding {self.encoding.removesuffix('-sig')}{guess}"


def find_dialect(path: Path, reading: Reading | None = None) -> Dialect:
    """Return separator and encoding of a file.

    Parameters
    ----------
    path : Path
        A delimited file, plain or packed.
    reading : Reading, optional
        What the user says.

    Returns
    -------
    Dialect
        UTF-8, or UTF-16 by its mark; where guesses are allowed, Windows' Western code page for other bytes.
        The separator is the first of comma, semicolon, tab and bar that gives rows of one width.

    Raises
    ------
    TruewardError
        If the file does not have the encoding that the user gave.

    """
    said = reading or Reading()
    try:
        with open_packed(path) as file:
            sample = file.read(SAMPLE)
    except (EOFError, OSError):
        sample = b""  # the reader reports the damage
    encoding, guessed = said.encoding, False
    if encoding is None:
        encoding = next((name for bom, name in BOMS if sample.startswith(bom)), None)
    if encoding is None:
        encoding = "utf-8"
        if said.guess and _is_western(sample):
            encoding, guessed = FALLBACK, True
    elif not _decodes(sample, encoding):
        raise TruewardError(
            f"{path} should be text in {encoding}, but has other bytes: give its encoding by --encoding"
        )
    text = sample.decode(encoding, errors="replace")
    return Dialect(said.delimiter or _separator(path, text), encoding, guessed)


def _is_western(sample: bytes) -> bool:
    """Whether a sample is no UTF-8, and more of its bytes beyond ASCII stand alone than form characters."""
    text = sample.decode("utf-8", errors="surrogateescape")
    lone = sum("\udc80" <= c <= "\udcff" for c in text[:-3])
    return lone > sum(c > "\x7f" for c in text) - lone


def _decodes(sample: bytes, encoding: str) -> bool:
    """Whether a sample is text in an encoding; its last character may be cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, final=len(sample) < SAMPLE)
    except UnicodeError:
        return False
    return True


def _separator(path: Path, text: str) -> str:
    """Return the first separator with several columns and rows of one width, else that of most columns."""
    if ".tsv" in path.name.lower():
        return "\t"
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(lines) > 1 and len(text) >= SAMPLE // 4 else lines
    widths = {}
    for separator in SEPARATORS:
        try:
            reader = csv.reader(lines, delimiter=separator)
            rows = [row for row, _ in zip(reader, range(ROWS), strict=False) if row]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        same = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        if same >= AGREE:
            return separator
        widths[separator] = len(rows[0])
    return max(widths, key=lambda s: widths[s]) if widths else ","
