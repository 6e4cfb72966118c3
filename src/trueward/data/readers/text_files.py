"""Text files, plain or compressed, line by line, with errors that name the line."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UTF8_BOM = b"\xef\xbb\xbf"


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading; a name that ends in ``.gz`` or ``.zst`` is decompressed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    binary file
        To be closed by the caller.

    """
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path)  # type: ignore[return-value]
    if name.endswith(".zst"):
        import pyarrow as pa  # noqa: PLC0415 - heavy, and rarely needed

        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def read_lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the lines of an open file.

    Parameters
    ----------
    file : binary file
        As `open_packed` returns it.
    path : Path
        Its name for the error.

    Yields
    ------
    bytes
        A line with its line end.

    Raises
    ------
    TruewardError
        If a gzip file is truncated or damaged.

    """
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise broken_gzip(path) from e


def broken_gzip(path: Path) -> TruewardError:
    """Return the error about a gzip file that is truncated or damaged.

    Parameters
    ----------
    path : Path
        The gzip file.

    Returns
    -------
    TruewardError
        The error, for the caller to raise.

    """
    return TruewardError(
        f"{path} should be a complete gzip file, but it is cut off or damaged: write or copy it again"
    )


def decode_line(raw: bytes, number: int, path: Path) -> str:
    """Decode a line as UTF-8.

    Parameters
    ----------
    raw : bytes
        The line.
    number : int
        Its number in the file, from 1.
    path : Path
        The file, for the error.

    Returns
    -------
    str
        The text.

    Raises
    ------
    TruewardError
        If the bytes are not UTF-8; the message has line, byte and position.

    """
    try:
        return raw.decode()
    except UnicodeDecodeError as e:
        raise TruewardError(
            f"{path} should be UTF-8 text, but line {number} has the byte 0x{raw[e.start]:02x} "
            f"at position {e.start + 1}: save the file as UTF-8, or import it "
            "by trueward import table FILE --encoding cp1252"
        ) from e
