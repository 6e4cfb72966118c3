"""Text files, plain or compressed, line by line, with errors that name the line."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UTF8_BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 28  # bytes of one line
MOST_UNPACKED = 1 << 30  # bytes that any packed file may hold
MOST_TIMES = 100  # beyond that, how many times its size
STEP = 8192  # bytes unpacked at a time: a damaged file loses no more than that


def open_packed(path: Path) -> IO[bytes]:
    """Open a file for reading; a name that ends in ``.gz`` or ``.zst`` is decompressed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    binary file
        To be closed by the caller. It raises a TruewardError after ``MOST_UNPACKED`` bytes that are more than
        ``MOST_TIMES`` the size of the file.

    """
    name = path.name.lower()
    if name.endswith(".gz"):
        return io.BufferedReader(_Unpacked(gzip.open(path), path))
    if name.endswith(".zst"):
        import pyarrow as pa  # noqa: PLC0415 - heavy, and rarely needed

        return io.BufferedReader(_Unpacked(pa.input_stream(str(path), compression="zstd"), path))
    return path.open("rb")


class _Unpacked(io.RawIOBase):
    """A decompressed stream that is refused if it is far larger than its file: it may never end."""

    def __init__(self, stream: Any, path: Path) -> None:
        self.stream, self.path, self.length = stream, path, 0
        self.most = most_unpacked(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = getattr(self.stream, "read1", self.stream.read)
        piece = read(min(len(buffer), STEP))
        self.length += len(piece)
        if self.length > self.most:
            raise too_large(self.path)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self.stream.close()
        super().close()


def most_unpacked(path: Path) -> int:
    """Return how many bytes a packed file may hold.

    Parameters
    ----------
    path : Path
        The packed file.

    Returns
    -------
    int
        Bytes.

    """
    return max(MOST_UNPACKED, MOST_TIMES * path.stat().st_size)


def too_large(path: Path) -> TruewardError:
    """Return the error about a packed file that unpacks to far more than its size.

    Parameters
    ----------
    path : Path
        The packed file.

    Returns
    -------
    TruewardError
        The error, for the caller to raise.

    """
    return TruewardError(
        f"{path} should unpack to at most {MOST_TIMES} times its {path.stat().st_size:,} bytes, but it has "
        "more than that: if this is right, unpack it and give the file inside"
    )


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
        If a packed file is truncated or damaged, or a line is longer than ``LONGEST_LINE``.

    """
    number = 0
    try:
        while line := file.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise TruewardError(
                    f"{path} should be lines of at most {LONGEST_LINE:,} bytes, but line {number} is longer: "
                    "write one object per line, or drop that line"
                )
            yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise broken_gzip(path) from e
    except OSError as e:
        if not path.name.lower().endswith(".zst"):
            raise
        raise broken_gzip(path) from e


def broken_gzip(path: Path) -> TruewardError:
    """Return the error about a packed file that is truncated or damaged.

    Parameters
    ----------
    path : Path
        The packed file.

    Returns
    -------
    TruewardError
        The error, for the caller to raise.

    """
    return TruewardError(
        f"{path} should be a complete {'zstd' if path.name.lower().endswith('.zst') else 'gzip'} file, but "
        "it is cut off or damaged: write or copy it again"
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
