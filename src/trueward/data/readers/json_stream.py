"""JSON from a stream of bytes in bounded memory: single lines, and arrays element by element."""

from __future__ import annotations

import codecs
import json
import re
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20  # bytes of the first read for a value; doubled while the value is longer
SPACE, COMMA = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
INVALID_BYTES = re.compile("[\udc80-\udcff]")  # surrogates in place of bytes that are not UTF-8
DECODER = json.JSONDecoder()
Document = tuple[
    int, Any, str
]  # line of its start, value, error; the value is None if there is one


class InvalidJson(ValueError):  # noqa: N818 - a finding about one line, which the caller words
    """The reason why a line is not JSON."""


def parse_json_line(raw: bytes) -> Any:
    """Return the JSON value of one line.

    Parameters
    ----------
    raw : bytes
        The line in UTF-8.

    Returns
    -------
    object
        The value.

    Raises
    ------
    InvalidJson
        With the byte or character where the line is wrong.

    """
    try:
        return json.loads(raw.decode())
    except UnicodeDecodeError as e:
        raise InvalidJson(
            f"invalid UTF-8: byte 0x{raw[e.start]:02x} at place {e.start + 1}"
        ) from None
    except (ValueError, RecursionError) as e:
        reason = f"{e.msg}: character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else e
        raise InvalidJson(f"invalid JSON ({reason})") from None


def json_documents(file: IO[bytes], max_length: int) -> Iterator[Document]:
    """Yield the elements of one array, or the documents of a stream that holds several.

    Commas after the last element are accepted, because some exports end in one.

    Parameters
    ----------
    file : binary file
        The stream; it is never held as a whole.
    max_length : int
        Most characters of one value.

    Yields
    ------
    tuple of (int, object, str)
        Line where the value starts (from 1), the value, and an error or an empty string. After a value
        that is cut off, damaged or too long, nothing more can be read.

    """
    window = _Window(file)
    is_array = window.peek(SPACE) == "["
    if is_array:
        window.advance(window.position + 1)
    separator = COMMA if is_array else SPACE
    while start := window.peek(separator):
        if is_array and start == "]":
            window.advance(window.position + 1)
            if window.peek(SPACE):
                yield window.line, None, "text after the end of the array: the rest is not read"
            return
        line = window.line
        result = _next_value(window, max_length)
        if isinstance(result, str):
            yield line, None, result
            return
        value, end = result
        if INVALID_BYTES.search(window.text, window.position, end):
            yield line, None, "invalid UTF-8"
        else:
            yield line, value, ""
        window.advance(end)
    if is_array:
        yield window.line, None, "the array is cut off: the rest is missing"


class _Window:
    """A window on the text of a stream: the text in memory, the position in it and its line."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.text, self.position, self.line = file, "", 0, 1
        # bytes that are not UTF-8 stay marked, so that only their record is lost
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")

    def read(self, size: int) -> bool:
        """Read more bytes and drop the text before the position; False at the end of the stream."""
        raw = self.file.read(size)
        self.text = self.text[self.position :] + self.decoder.decode(raw, final=not raw)
        self.position = 0
        return bool(raw)

    def advance(self, end: int) -> None:
        """Move the position to ``end``."""
        self.line += self.text.count("\n", self.position, end)
        self.position = end

    def peek(self, skipped: re.Pattern[str]) -> str:
        """Skip what matches ``skipped`` and return the next character; empty at the end."""
        while True:
            match = skipped.match(self.text, self.position)
            self.advance(match.end() if match else self.position)
            if self.position < len(self.text) or not self.read(CHUNK):
                return self.text[self.position : self.position + 1]


def _next_value(window: _Window, max_length: int) -> tuple[Any, int] | str:
    """Return the next value and the position after it, or the error."""
    size = CHUNK
    while True:
        try:
            value, end = DECODER.raw_decode(window.text, window.position)
            is_delimited = isinstance(value, dict | list | str)
            if end < len(window.text) or is_delimited or not window.read(size):
                return value, end
        except RecursionError:
            return "invalid JSON (nested too deeply): the rest cannot be read"
        except ValueError as e:
            reason = f"{e.msg}" if isinstance(e, json.JSONDecodeError) else str(e)
            if len(window.text) - window.position > max_length:
                return (
                    f"a record is longer than {max_length:,} characters, or damaged: "
                    "the rest cannot be read"
                )
            if not window.read(size):
                return f"invalid or cut-off JSON ({reason}): the rest cannot be read"
        size *= 2
