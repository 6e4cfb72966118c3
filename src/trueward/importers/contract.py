"""The contract of a product module: records in, rows out, and the declaration `Source`."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when the dataclasses are made
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from trueward.data.readers.delimited import Reading

from .names import UserMapping as UserMapping  # noqa: PLC0414, TC001 - products import it from here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from trueward.data.export_scope import Level

Message = dict[str, str]  # keys: role, content
Actor = Literal["user", "annotator", "judge"]
# Which rows become responses. answer: always. call, fallback: a model call, and the trace or span around it;
# see `traces`. named: only if an event names it; it then replaces the answer of its group. echo: a second
# copy of a response, stored beside an event; any other copy of the same id wins. owner: never; it gives its
# group a user and a session, and links spans. hidden: never; a call that users were not shown.
Precedence = Literal["answer", "call", "fallback", "named", "echo", "owner", "hidden"]
Place = tuple[str, int]  # file and line


class InvalidRecord(Exception):  # noqa: N818 - a finding about a record, which the caller counts
    """The reason why a record cannot be used; it is written to the rejected rows."""


class NoAnswer(Exception):  # noqa: N818 - as above
    """The reason why a valid record holds no response; it is counted with the skipped records."""


#: Errors of code that meets a value of an unexpected type, such as a number in place of an object.
WRONG_TYPE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Record:
    """One raw record of an export.

    Attributes
    ----------
    value : dict
        The JSON object or table row.
    file : str
        Path of the file.
    line : int
        Line where the record starts, or its row number in a table; from 1.
    kind : str
        Kind of record within its source; empty if unknown.

    """

    value: dict[str, Any]
    file: str
    line: int
    kind: str = ""


@dataclass(slots=True)
class Response:
    """A row of the responses table: one response as it was shown.

    Attributes
    ----------
    response_id : str
        Unique id, with the name of the product as prefix.
    prompt : sequence of Message
        The conversation before the response.
    response : str
        The text as shown to the user.
    prompt_id, user_id, session_id, model : str, optional
        Ids as the product stores them; ids of people are hashed later.
    shown_at : datetime, optional
        Time in UTC.
    position : int, optional
        Place among responses that were shown together, from 0.
    turn : int, optional
        Number of earlier responses in the same chat.
    parent_response_id : str, optional
        The response that this one regenerated.
    p_ask : float, optional
        Probability that the product asked for feedback.
    context : mapping
        Further columns; each key ``k`` is written as ``context.k``.
    group : str, optional
        Id of a trace; an event may name it in place of a response.
    precedence : str
        Whether the row becomes a response if others compete with it; see `Precedence`.
    sibling_group : str, optional
        Key of responses of which every one but the last was regenerated.
    updated_at : datetime, optional
        Of two rows with one id, the later one wins.
    parent_span, span_name : str, optional
        Id of the span or trace above, as a response id; name of this one.
    alias : str, optional
        Another id that an event may give as its group.
    unshown, invalid : str, optional
        Why it is no response, if it turns out to be none; why it would be rejected if it were one.
    place : (str, int), optional
        File and line, if the record is not the first of those that are read together.

    """

    response_id: str
    prompt: Sequence[Message]
    response: str
    prompt_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    shown_at: datetime | None = None
    model: str | None = None
    position: int | None = None
    turn: int | None = None
    parent_response_id: str | None = None
    p_ask: float | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    precedence: Precedence = "answer"
    sibling_group: str | None = None
    updated_at: datetime | None = None
    parent_span: str | None = None
    span_name: str | None = None
    alias: str | None = None
    unshown: str | None = None
    invalid: str | None = None
    place: Place | None = None


@dataclass(slots=True)
class Event:
    """A row of the events table: one signal about a response, or about the last response of a group.

    Attributes
    ----------
    channel : str
        Name of the channel, a key of `channels.CHANNELS`.
    value : float
        Value of the signal, such as 1 for a thumb or 4 for a rating.
    source : str, optional
        Who gave it: ``user``, ``annotator`` or ``judge``; anything else is rejected later.
    response_id, group : str, optional
        The response, or the group whose last response is meant.
    at : datetime, optional
        Time in UTC.
    event_id, actor_id : str, optional
        Ids as the product stores them.
    other_response_id : str, optional
        For ``preferred``: the other response of the pair.
    text, raw : str, optional
        A comment or correction; the record as the product wrote it.
    key : str, optional
        Of the events of one response and key, only the latest counts.
    updated_at : datetime, optional
        Orders the events of one key.
    place : (str, int), optional
        File and line, as for `Response`.
    word : str, optional
        The value of a thumb in the spelling of `data.feedback_words`, which the user may give a meaning.

    """

    channel: str
    value: float
    source: str | None
    response_id: str | None = None
    group: str | None = None
    at: datetime | None = None
    event_id: str | None = None
    actor_id: str | None = None
    other_response_id: str | None = None
    text: str | None = None
    raw: str | None = None
    key: str | None = None
    updated_at: datetime | None = None
    place: Place | None = None
    word: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A valid record, or part of one, without a response or a signal."""

    #: Why it gives no row; skipped records are counted by reason.
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A part of a record that cannot be used, such as one message of a chat."""

    #: What is wrong with it, written to the rejected rows.
    reason: str
    #: File and line, as for `Response`.
    place: Place | None = None


Row = Response | Event | Skip | Reject


@dataclass(frozen=True)
class Source:
    """The exports of one product; each module of `trueward.importers.products` defines one as ``SOURCE``.

    Attributes
    ----------
    title : str
        Name of the product and its exports, for the documentation.
    levels : mapping of str to Level or None
        Kind of record -> level of export that a file of such records covers.
    record_kind : callable
        ``record_kind(record)`` returns the kind of a record, or None if it is not of this source.
    rows : callable
        ``rows(records, mapping)`` yields the rows of records that belong together.
    covers : str
        What the export covers, for the documentation.
    wider : str
        Which export has the responses without feedback, as an instruction.
    signals : mapping of str to str
        Documented names of signals -> our channels.
    scales : mapping of str to (float, float)
        Channel -> lowest and highest value.
    always_logged : frozenset of str
        Channels that are logged for every response, so that absence means 0.
    mappable : frozenset of str
        Texts whose path a user may give.
    group_key : callable, optional
        ``group_key(record)`` returns the key of records that must be read together.
    survey : callable, optional
        ``survey(records, mapping)`` looks at all records first, and returns the ``rows`` that reads them.
    read_columns : callable, optional
        Reads a typed table column by column: kind of record and staged rows, or None.
    with_names : callable, optional
        ``with_names(source, mapping)`` returns the source that reads the names which the user mapped.
    hash_ids : bool
        Whether ids of people are hashed; False if the product has hashed them already.
    ids_are_addresses : bool
        Whether user ids are network addresses, which hashing with a public key does not hide.
    name : str
        Name of the module.
    reading : Reading
        Separator, encoding and table that the user gave.

    """

    title: str
    levels: Mapping[str, Level | None]
    record_kind: Callable[[Mapping[str, Any]], str | None]
    rows: Callable[[Sequence[Record], UserMapping], Iterator[Row]]
    covers: str
    wider: str = ""
    signals: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    always_logged: frozenset[str] = frozenset()
    mappable: frozenset[str] = frozenset()
    group_key: Callable[[Record], str | None] | None = None
    survey: Callable[..., Callable[..., Iterator[Row]]] | None = None
    read_columns: Callable[[Path], tuple[str, pl.LazyFrame] | None] | None = None
    with_names: Callable[[Source, UserMapping], Source] | None = None
    hash_ids: bool = True
    ids_are_addresses: bool = False
    name: str = ""
    reading: Reading = field(default_factory=Reading)

    def kind_of(self, value: Mapping[str, Any]) -> str | None:
        """Return the kind of a record; None if it is not of this source or has unexpected types.

        Parameters
        ----------
        value : mapping
            A JSON object or table row.

        Returns
        -------
        str or None
            A key of ``levels``, or None.

        """
        try:
            return self.record_kind(value)
        except WRONG_TYPE:
            return None
