"""Somebody's own table: one row per response, in CSV, TSV, Excel, JSON, SQLite or Parquet.

Columns are those that the user maps, else those with a usual name: prompt, response, feedback, system,
response_id, prompt_id, user_id, session_id, time, model, comment, gold, and columns of channels and context.
The feedback may be words, stars or numbers; see `trueward.data.feedback_words`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.data.feedback_column import read_feedback
from trueward.data.feedback_words import FeedbackWords, spelled
from trueward.data.readers import list_columns
from trueward.data.readers.cell_types import Place as Rows
from trueward.importers.channels import CHANNELS, THUMBS, finite_number, shortened
from trueward.importers.contract import (
    WRONG_TYPE,
    Event,
    InvalidRecord,
    NoAnswer,
    Record,
    Reject,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_message, to_messages
from trueward.importers.values import id_text

from ._table_columns import THUMB_COLUMNS, Times, cell, find_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONTEXT = "context."


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: a row, whatever its columns are.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str
        ``row``.

    """
    return "row" if record else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the response of each row, its feedback and its signals.

    Parameters
    ----------
    records : sequence of Record
        All rows of one file: the feedback and the times of a column have one meaning.
    mapping : UserMapping
        Columns of the texts, of thumbs and of other signals.

    Yields
    ------
    Row
        A response, an event, a Skip for a row without feedback, or a Reject for one that cannot be read.

    Raises
    ------
    TruewardError
        If the table has no prompt or response, or its feedback or dates could mean several things.

    """
    file = Path(records[0].file).name
    names = list(dict.fromkeys(name for record in records for name in record.value))
    roles = find_columns(names, mapping, records[0].file)
    mapping.names_seen.update(dict.fromkeys(names, len(records)))
    used = {*roles.values(), *mapping.signals}
    unused = [name for name in names if name not in used]
    if unused:
        mapping.found["columns that are not read"] = list_columns(unused)
    labels = {
        path: _labels(records, path, mapping, ask=True)
        for path in (roles.get("feedback"), _thumbs(mapping))
        if path is not None
    }
    if "gold" in roles:
        labels[roles["gold"]] = _labels(records, roles["gold"], mapping, ask=False)
    values = [cell(record.value, roles.get("time")) for record in records]
    times = Times(values, roles.get("time", ""), mapping.dates)
    if times.format:
        mapping.found["dates"] = times.format
    for i, record in enumerate(records):
        place = (record.file, record.line)
        label = {path: read[i] for path, read in labels.items()}
        try:
            yield from _row(record, roles, mapping, label, times(values[i]), f"{file}/{i + 1}")
        except (InvalidRecord, *WRONG_TYPE) as e:
            yield Reject(_reason(e), place)
        except NoAnswer as e:
            yield Skip(str(e))


def _reason(e: Exception) -> str:
    return str(e) if isinstance(e, InvalidRecord) else f"a value of another type ({e})"[:150]


def _thumbs(mapping: UserMapping) -> str | None:
    """Return the column that is mapped to thumbs."""
    return next((theirs for theirs, ours in mapping.signals.items() if ours == THUMBS), None)


def _labels(
    records: Sequence[Record], path: str, mapping: UserMapping, *, ask: bool
) -> list[float | None]:
    """Read a column of feedback as a whole: 1, 0 or None for each row."""
    values = [cell(record.value, path) for record in records]
    place = Rows(records[0].file, lines=[record.line for record in records])
    words = mapping.words if ask else FeedbackWords()
    for value in values:
        mapping.words_seen[spelled(value)] += 1
    read, meanings = read_feedback(values, path, place, words, ask=ask)
    for value, (label, count) in meanings.items():
        name = {1.0: "good", 0.0: "bad"}.get(label, "none") if label is not None else "none"
        mapping.found.setdefault(f"values of {path}", "")
        before = mapping.found[f"values of {path}"]
        part = f"{value or 'empty'} ({count:,}) is {name}"
        mapping.found[f"values of {path}"] = f"{before}, {part}" if before else part
    return [None if value is None else float(str(value)) for value in read]


def _row(
    record: Record,
    roles: Mapping[str, str],
    mapping: UserMapping,
    labels: Mapping[str, float | None],
    at: Any,
    row: str,
) -> Iterator[Row]:
    value, place = record.value, (record.file, record.line)
    texts = {role: cell(value, roles.get(role)) for role in ("prompt", "response", "system")}
    if "response" not in roles and texts["prompt"] is not None:
        texts["prompt"], texts["response"] = _split(to_messages(texts["prompt"]))
    missing = [role for role in ("prompt", "response") if texts[role] is None]
    if missing:
        raise InvalidRecord(f"a response needs a prompt and a text, and the {missing[0]} is empty")
    prompt = to_messages(texts["prompt"])
    if texts["system"] is not None:
        prompt = [to_message(str(texts["system"]), "system"), *prompt]
    name = id_text(cell(value, roles.get("response_id")))
    name = f"table:{name or row}"
    ids: dict[str, Any] = {
        role: id_text(cell(value, roles.get(role)))
        for role in ("prompt_id", "user_id", "session_id", "model")
    }
    context = {
        role.removeprefix(CONTEXT): _scalar(cell(value, path))
        for role, path in roles.items()
        if role.startswith(CONTEXT)
    }
    text = answer_text(texts["response"])
    yield Response(name, prompt, text, **ids, shown_at=at, context=context, place=place)
    fields: dict[str, Any] = {"response_id": name, "place": place}
    user = {"source": "user", "actor_id": ids["user_id"], **fields}
    for path in {roles.get("feedback"), _thumbs(mapping)} & labels.keys():
        if labels[path] is not None:  # type: ignore[index]
            channel = "thumbs_up" if labels[path] == 1 else "thumbs_down"  # type: ignore[index]
            yield Event(channel, 1.0, **user)
    if (path := roles.get("gold")) is not None and labels[path] is not None:
        channel = "thumbs_up" if labels[path] == 1 else "thumbs_down"
        yield Event(channel, 1.0, "annotator", **fields)
    columns = {roles[role]: role for role in THUMB_COLUMNS if role in roles}
    columns |= dict(mapping.signals)
    for theirs, ours in columns.items():
        signal = cell(value, theirs)
        if ours in CHANNELS and signal is not None:
            number = _signal(signal, theirs)
            if number or CHANNELS[ours].kind == "implicit" or ours == "rating":
                yield Event(ours, number, **user)
    comment = cell(value, roles.get("comment"))
    if comment is not None:
        yield Event("comment", 1.0, **user, text=str(comment))


def _split(messages: list[dict[str, str]]) -> tuple[list[dict[str, str]], str]:
    """Return the messages before the last, and the text of the last, which should be an answer."""
    *before, last = messages
    if last["role"] != "assistant" or not before:
        raise InvalidRecord("the last message of the chat should be an answer to others")
    return before, last["content"]


def _scalar(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise InvalidRecord(f"a context should be a number or text, and is {shortened(value)}")
    return value


def _signal(value: Any, name: str) -> float:
    """Return a number, or 1 and 0 for words such as yes and no."""
    meaning = FeedbackWords().meaning(value)
    if isinstance(value, str) and meaning in {"good", "bad"}:
        return float(meaning == "good")
    return finite_number(value, name)


SOURCE = Source(
    title="a table of your own, one row per response",
    levels={"row": "full"},
    record_kind=record_kind,
    rows=rows,
    group_key=lambda record: record.file,
    covers="`full` if it has every response that was shown; lowered if all are rated",
    wider="add the responses that nobody rated",
    mappable=frozenset(
        "prompt response feedback system response_id prompt_id user_id session_id time model comment gold"  # noqa: SIM905
        " context.NAME".split()
    ),
)
