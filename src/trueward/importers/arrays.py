"""JSON documents of a stream without holding the stream: an array is given element by element."""

from __future__ import annotations

import codecs
import json
import re
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20  # bytes read at a time, at first
SPACE, COMMA = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
MARKED = re.compile("[\udc80-\udcff]")  # half characters that stand for bytes that are no UTF-8
DECODER = json.JSONDecoder()
Document = tuple[int, Any, str]  # line of its start, value, why there is none


class _Text:
    """A window on the text of a stream: what is held, and the place and line that is next."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.held, self.at, self.line = file, "", 0, 1
        # bytes that are no UTF-8 stay marked, so that only their record is lost
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")

    def more(self, size: int) -> bool:
        """Read on, and let go of what is done; False at the end."""
        raw = self.file.read(size)
        self.held = self.held[self.at :] + self.decoder.decode(raw, final=not raw)
        self.at = 0
        return bool(raw)

    def skip(self, end: int) -> None:
        """Go to place ``end``."""
        self.line += self.held.count("\n", self.at, end)
        self.at = end

    def peek(self, passed: re.Pattern[str]) -> str:
        """Go past what ``passed`` matches and give the next character; empty at the end."""
        while True:
            found = passed.match(self.held, self.at)
            self.skip(found.end() if found else self.at)
            if self.at < len(self.held) or not self.more(CHUNK):
                return self.held[self.at : self.at + 1]


def documents(file: IO[bytes], longest: int) -> Iterator[Document]:
    """Yield the elements of one array, or each of the documents that follow one another.

    Commas that nothing follows are passed over: some exports end in one. What is cut off, or longer than
    ``longest`` characters, is one finding, and nothing after it can be read.
    """
    text = _Text(file)
    array = text.peek(SPACE) == "["
    if array:
        text.skip(text.at + 1)
    between = COMMA if array else SPACE
    while start := text.peek(between):
        if array and start == "]":
            return
        line = text.line
        found = _next(text, longest)
        if isinstance(found, str):
            yield line, None, found
            return
        value, end = found
        yield (
            (line, None, "invalid UTF-8")
            if MARKED.search(text.held, text.at, end)
            else (line, value, "")
        )
        text.skip(end)
    if array:
        yield text.line, None, "the array is cut off: what follows is missing"


def _next(text: _Text, longest: int) -> tuple[Any, int] | str:
    """Give the next value and its size in characters, or why there is none."""
    size = CHUNK
    while True:
        try:
            value, end = DECODER.raw_decode(text.held, text.at)
            if end < len(text.held) or isinstance(value, dict | list | str) or not text.more(size):
                return value, end
        except RecursionError:
            return "invalid JSON (nested too deeply): what follows cannot be read"
        except ValueError as e:
            failed = f"{e.msg}" if isinstance(e, json.JSONDecodeError) else str(e)
            if len(text.held) - text.at > longest:
                return (
                    f"a record is longer than {longest:,} characters, or damaged: the rest is lost"
                )
            if not text.more(size):
                return f"invalid or cut-off JSON ({failed}): what follows cannot be read"
        size *= 2
