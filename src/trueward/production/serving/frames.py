"""Messages between the server and its scoring processes: a length of four bytes, then JSON."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from asyncio import StreamReader
    from collections.abc import Sequence
    from typing import BinaryIO

HEAD = struct.Struct(">I")
FIELDS = ("prompt", "response", "level", "by_class", "truncate")


class Text(NamedTuple):
    """One response to score, and how."""

    #: the prompt, as in the log
    prompt: str
    #: the response
    response: str
    #: confidence of a decision, in [0.5, 1); None decides nothing
    level: float | None = None
    #: whether the confidence holds among good and among bad responses
    by_class: bool = False
    #: whether a text that is too long for the model is truncated, or refused
    truncate: bool = False


class Answer(NamedTuple):
    """The score of one response, as in `trueward.model.scores.Scores`."""

    #: logit of P(preferred); None where the method identifies only an interval
    reward: float | None
    #: P(preferred)
    preferred: float | None
    #: standard deviation of P over the members
    spread: float
    #: whether the model has not seen such text
    out_of_distribution: bool
    #: lower and upper end of the 95 % interval of P(preferred), where the method has one
    low: float | None
    high: float | None
    #: 1 good, 0 bad, None undecided or not asked
    decision: int | None
    #: whether a part of the text was not read
    truncated: bool


def packed(value: Any) -> bytes:
    """Return a value as one message; NaN and infinity are refused by a ValueError."""
    body = json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    return HEAD.pack(len(body)) + body


async def receive(stream: StreamReader) -> Any:
    """Read one message; `asyncio.IncompleteReadError` at the end of the stream."""
    (size,) = HEAD.unpack(await stream.readexactly(HEAD.size))
    return json.loads(await stream.readexactly(size))


def read(stream: BinaryIO) -> Any:
    """Read one message; EOFError at the end of the stream."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    return json.loads(stream.read(HEAD.unpack(head)[0]))


def columns(texts: Sequence[Text]) -> dict[str, list[Any]]:
    """Return texts as columns, which are shorter in JSON than rows."""
    return dict(zip(FIELDS, map(list, zip(*texts, strict=True)), strict=True))
