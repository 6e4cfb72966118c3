"""What a source of logs is: what its records look like, and the rows that each of them gives."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when the dataclasses are made
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from trueward.data.export_scope import Level

Message = dict[str, str]  # role, content
Actor = Literal["user", "annotator", "judge"]
# answer: a response. fallback: one where its group has no answer. named: one if an event names it, and then
# in place of the answer of its group. echo: the same text told again beside an event, no evidence of more.
# owner: no response, but what says who and which session the group is of.
Standing = Literal["answer", "fallback", "named", "echo", "owner"]


class Bad(Exception):  # noqa: N818 - a finding about a record, which the caller counts
    """Why a record cannot be used; it goes to the rejected rows."""


class Silent(Exception):  # noqa: N818 - as above
    """Why a sound record is no response; it is counted with the skipped ones."""


# What code meets in a value of another kind than the source writes: a number where an object should be.
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Record:
    """One raw record and where it stands."""

    value: dict[str, Any]
    file: str
    line: int  # of its start, or its number in a table, counted from 1
    shape: str = ""  # which of the source's kinds of record it is


@dataclass(slots=True)
class Response:
    """A response that was shown, with the text as it was shown."""

    response_id: str
    prompt: Sequence[Message]
    response: str
    prompt_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    shown_at: datetime | None = None
    model: str | None = None
    position: int | None = None  # place among answers shown together, counted from 0
    turn: int | None = None  # answers before it in its chat
    parent_response_id: str | None = None  # the answer that it regenerated
    p_ask: float | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None  # what an event may name instead: a trace
    standing: Standing = "answer"
    siblings: str | None = (
        None  # of the responses of one such key each but the last was regenerated
    )
    updated: datetime | None = None  # of two with one id the newest counts


@dataclass(slots=True)
class Event:
    """One signal about a response, or about the last response of a group."""

    channel: str
    value: float
    source: str | None  # an Actor; checked with the table, which gives nobody's word to a user
    response_id: str | None = None
    group: str | None = None
    at: datetime | None = None
    event_id: str | None = None
    actor_id: str | None = None
    other_response_id: str | None = None  # preferred: the other of the pair
    text: str | None = None
    raw: str | None = None
    key: str | None = None  # of the events of one key and response the newest counts
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A record, or a part of one, that is sound and no feedback: counted by its reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A part of a record that cannot be used: a message of a chat."""

    reason: str


Row = Response | Event | Skip | Reject


@dataclass(frozen=True)
class Ask:
    """What the user said about the names of the source."""

    names: Mapping[str, str] = field(
        default_factory=dict
    )  # its name of a signal -> channel of ours
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # prompt -> inputs.question


@dataclass(frozen=True)
class Source:
    """One product's exports. A module of this package gives one as ``SOURCE``."""

    title: str
    levels: Mapping[str, Level | None]  # shape of a record -> what a file of such records covers
    shape: Callable[[Mapping[str, Any]], str | None]  # of a record; None: not of this source
    rows: Callable[[Sequence[Record], Ask], Iterator[Row]]
    covers: str  # for the table of the documentation: what its export covers
    wider: str = ""  # where the responses nobody rated are, as an order
    names: Mapping[str, str] = field(default_factory=dict)  # documented name of a signal -> channel
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    available: frozenset[str] = frozenset()  # channels that are logged for every response
    paths: frozenset[str] = frozenset()  # what a user may say the path of
    bundle: Callable[[Record], str | None] | None = None  # records of one key are given together
    # rows of a file that is a table already: the kind of record and its staged rows
    columns: Callable[[Path], tuple[str, pl.LazyFrame] | None] | None = None
    hashes: bool = True  # ids of users are hashed; False: the source's are hashed already
    addresses: bool = False  # its user ids are network addresses, which an open hash does not hide
    name: str = ""  # of its file

    def shape_of(self, value: Mapping[str, Any]) -> str | None:
        """Give the kind of a record; None where it is not of this source, or too odd to tell."""
        try:
            return self.shape(value)
        except ODD:
            return None
