"""Gradio: `flagged/log.csv` of an interface, and the `.csv` that a chat interface logs its likes to.

Columns read: those of the inputs and outputs by their labels, ``flag``, ``username`` and ``timestamp``; of a
chat, ``conversation`` or ``chatbot``, ``index``, and ``liked`` or ``flag``. Only rows that somebody flagged
are written, unless the interface logs every run (``flagging_mode="auto"``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.data.feedback_words import FeedbackWords, spelled
from trueward.importers.channels import signal_event
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    NoAnswer,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.spans import TEXTS, mapped
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OWN = ("flag", "username", "timestamp")
SYSTEMS = frozenset({"system", "systemprompt", "systemmessage", "instructions"})
FILE = re.compile(r"\A(?=.*[/\\])[^\n]*\.(\w{2,4})\Z")  # a path with an ending
FILES = {  # what stands for a file in a prompt
    "[image]": ("png", "jpg", "jpeg", "webp", "gif", "bmp"),
    "[audio]": ("wav", "mp3", "flac", "ogg", "m4a"),
    "[video]": ("mp4", "webm", "mov", "avi"),
}
NEGATIVE = frozenset({"incorrect", "wrong", "bad", "dislike", "disliked", "error", "offensive"})
POSITIVE = frozenset({"correct", "good", "like", "liked", "helpful"})


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: flagged run or like.

    Parameters
    ----------
    record : mapping
        A row.

    Returns
    -------
    str or None
        ``flagged run`` or ``like``, or None if the record is not of this source.

    """
    keys = record.keys()
    has_chat = "index" in keys and ("conversation" in keys or "chatbot" in keys)
    if has_chat and ("liked" in keys or "flag" in keys):
        return "like"
    texts = [key for key in keys if key not in OWN]
    return "flagged run" if {"flag", "timestamp"} <= keys and len(texts) >= 2 else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the output of a run as a response, and its flag as feedback.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Columns of ``prompt`` and ``response``, if the interface has several inputs or outputs.

    Yields
    ------
    Row
        A response, an event, or a Skip for a flag that is neither good nor bad.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If there is no text.

    """
    (record,) = records
    yield from (_like if record.kind == "like" else _flagged)(record, mapping)


def _name(record: Record) -> str:
    return f"gradio:{Path(record.file).parent.name}/{Path(record.file).name}/{record.line}"


def _flagged(record: Record, mapping: UserMapping) -> Iterator[Row]:
    value = record.value
    flag, user, at = (value.get(key) for key in OWN)
    columns = [key for key in value if key not in OWN]
    prompt = _text(value, mapping, "prompt", columns[0])
    response = _text(value, mapping, "response", columns[-1])
    if prompt in (None, "") or response in (None, ""):
        raise InvalidRecord(
            f"a response needs a prompt and a text, and one of {', '.join(columns)} is empty: name them by "
            "--map prompt=COLUMN --map response=COLUMN"
        )
    system = next((value[key] for key in columns if _plain(key) in SYSTEMS), None)
    asked = to_messages(_shown(prompt))
    if system and prompt != system:
        asked = [{"role": "system", "content": str(system)}, *asked]
    read = {columns[0], columns[-1], *(p for paths in mapping.paths.values() for p in paths)}
    for key in columns:
        if key not in read and _plain(key) not in SYSTEMS:
            yield Skip(f"the column {key!r} is not read")
    user = id_text(mapped(value, mapping, "user", user))
    session = id_text(mapped(value, mapping, "session", None))
    name, time = _name(record), parse_time(at)
    ids: dict[str, Any] = {"user_id": user, "session_id": session, "shown_at": time}
    yield Response(name, asked, _answer(response), **ids)
    word = str(flag or "").strip()
    fields: dict[str, Any] = {"response_id": name, "actor_id": user, "at": time, "source": "user"}
    if not word:
        yield Skip("a run without a flag")
        return
    mapping.names_seen[word] += 1
    channel = mapping.signals.get(word)
    if channel is not None:
        yield signal_event(channel, 1, **fields)
    elif mapping.words.declared(spelled(word)) is not None:
        yield signal_event("thumbs", word, **fields)
    elif (meaning := FeedbackWords().meaning(word)) in {"good", "bad"} or (
        word.lower() in NEGATIVE | POSITIVE
    ):
        up = meaning == "good" or word.lower() in POSITIVE
        yield Event("thumbs_up" if up else "thumbs_down", 1.0, **fields)
    else:
        mapping.words_seen[spelled(word)] += 1
        yield Skip(f"the flag {word!r} has no known meaning")


def _text(value: Mapping[str, Any], mapping: UserMapping, name: str, column: str) -> Any:
    """Return the value at the path that the user gave, or of the column if there is no such path."""
    default = None if mapping.paths.get(name) else value.get(column)
    return mapped(value, mapping, name, default)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _shown(value: Any) -> Any:
    """Return a value, or what stands for the file that a component saved it to."""
    inner = decode_json(value)
    path = inner.get("path") if isinstance(inner, dict) else value
    ending = FILE.search(path) if isinstance(path, str) else None
    if ending is None:
        return value
    return next((mark for mark, names in FILES.items() if ending[1].lower() in names), "[file]")


def _answer(value: Any) -> str:
    if _shown(value) is not value:
        raise NoAnswer("an answer without text, such as an image")
    return answer_text(value)


def _like(record: Record, mapping: UserMapping) -> Iterator[Row]:
    """Yield the answer of a chat that was liked, with the turns before it."""
    value = record.value
    chat = decode_json(value.get("conversation") or value.get("chatbot"))
    messages = _turns(chat)
    index = decode_json(value.get("index"))
    place = index if isinstance(index, int) else int(str(index).strip("[]() ").split(",")[0])
    if isinstance(chat, list) and chat and isinstance(chat[0], list):
        place = 2 * place + 1  # pairs of question and answer
    if not 0 < place < len(messages) or messages[place]["role"] != "assistant":
        raise InvalidRecord(f"message {place} of the conversation is no answer")
    name, user = _name(record), id_text(mapped(value, mapping, "user", value.get("username")))
    time = parse_time(value.get("timestamp"))
    asked, answered = (mapped(value, mapping, text, None) for text in ("prompt", "response"))
    yield Response(
        name,
        messages[:place] if asked is None else to_messages(asked),
        messages[place]["content"] if answered is None else answer_text(answered),
        user_id=user,
        session_id=id_text(mapped(value, mapping, "session", None)),
        shown_at=time,
        turn=place // 2,
    )
    fields: dict[str, Any] = {"response_id": name, "actor_id": user, "at": time, "source": "user"}
    word = value.get("liked", value.get("flag"))
    if word in (None, ""):
        yield Skip("a like that was taken back")
    else:
        yield signal_event("thumbs", word, **fields)


def _turns(chat: Any) -> list[dict[str, str]]:
    """Return messages of a chat that is a list of messages, or of pairs of question and answer."""
    if not isinstance(chat, list) or not chat:
        raise InvalidRecord("the conversation has no messages")
    if not isinstance(chat[0], list):
        return to_messages(chat)
    turns = []
    for pair in chat:
        turns += [{"role": "user", "content": _part(pair[0])}]
        turns += [{"role": "assistant", "content": _part(pair[1])}]
    return turns


def _part(value: Any) -> str:
    """Return the text of a turn; a file is its path, alone or beside a text."""
    if isinstance(value, list):
        value = value[0] if value else None
    value = value["file"] if isinstance(value, dict) and "file" in value else value
    return str(_shown(value) or "")


SOURCE = Source(
    title="Gradio flags (`flagged/log.csv`) and likes of a chat interface",
    levels={"flagged run": "rated_only", "like": "rated_only"},
    record_kind=record_kind,
    rows=rows,
    covers="`rated_only`: runs that somebody flagged",
    wider='log every run (flagging_mode="auto")',
    mappable=TEXTS,
)
