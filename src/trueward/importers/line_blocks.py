"""A stream of lines as blocks of whole lines, in bounded memory, and what is no record in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = 8192  # bytes read at a time: a damaged packed file loses no more than that
SKIP_STEP = 1 << 20  # bytes of a long line that are skipped at a time


@dataclass(frozen=True, slots=True)
class Block:
    r"""Some lines of a file.

    Attributes
    ----------
    lines : bytes
        Whole lines; the last of the file may have no ``\n``.
    first : int
        Number of the first line, from 1.
    too_long : bool
        Whether the line after these is longer than the limit; it was skipped.

    """

    lines: bytes
    first: int
    too_long: bool = False


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A part of a file that is not a record.

    Attributes
    ----------
    file : str
        Path of the file.
    line : int
        Line or row where the part starts, from 1; 0 for the whole file.
    reason : str
        Why it cannot be read.

    """

    file: str
    line: int
    reason: str


def line_blocks(file: IO[bytes], size: int, longest: int) -> Iterator[Block]:
    """Yield a stream as blocks of whole lines.

    Parameters
    ----------
    file : binary file
        A buffered stream.
    size : int
        Bytes of a block, unless its last line is longer.
    longest : int
        Bytes of a line that is too long; it is skipped without being held in memory.

    Yields
    ------
    Block
        One after another.

    Raises
    ------
    OSError, EOFError, zlib.error
        If the stream is damaged, after the whole lines before the damage.

    """
    first = 1
    damage: Exception | None = None
    while damage is None:
        pieces: list[bytes] = []
        length, too_long = 0, False
        try:
            while (room := min(size, longest) - length) > 0:
                piece = file.read1(min(STEP, room))  # type: ignore[attr-defined]
                if not piece:
                    break
                pieces.append(piece)
                length += len(piece)
            begun = _bytes_after_break(pieces)
            if begun or not pieces:
                pieces.append(file.readline(longest - begun))
                too_long = begun + len(pieces[-1]) >= longest and not pieces[-1].endswith(b"\n")
                if too_long:
                    _skip_line(file)
        except (OSError, EOFError, zlib.error) as e:
            damage = e
        lines = b"".join(pieces)
        if too_long or damage is not None:
            lines = lines[: lines.rfind(b"\n") + 1]
        if not lines and not too_long:
            break
        yield Block(lines, first, too_long)
        first += lines.count(b"\n") + too_long
    if damage is not None:
        raise damage


def _bytes_after_break(pieces: list[bytes]) -> int:
    """Return the length of the line that has begun."""
    length = 0
    for piece in reversed(pieces):
        start = piece.rfind(b"\n") + 1
        length += len(piece) - start
        if start:
            break
    return length


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(SKIP_STEP)) and not rest.endswith(b"\n"):
        pass
