"""Somebody's own table: one row per response, in CSV, TSV, Excel, JSON, SQLite or Parquet.

Columns are those that the user maps, else those with a usual name: prompt, response, feedback, system,
response_id, prompt_id, user_id, session_id, time, model, comment, gold, and columns of channels and context.
The feedback may be words, stars or numbers; see `trueward.data.feedback_words`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from trueward.data.feedback_words import FeedbackWords
from trueward.importers.channels import CHANNELS, finite_number, shortened
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

from ._table_columns import THUMB_COLUMNS, cell
from ._table_survey import TableSurvey, label_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
        All rows of a table: the feedback and the times of a column have one meaning.
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
    yield from survey(records, mapping)(records, mapping)


def survey(
    records: Iterable[Record], mapping: UserMapping
) -> Callable[[Sequence[Record], UserMapping], Iterator[Row]]:
    """Look at all rows of a table, and return what reads them one by one, in the same order.

    Parameters
    ----------
    records : iterable of Record
        All rows of all files.
    mapping : UserMapping
        As for `rows`.

    Returns
    -------
    callable
        As `rows`, for some of the rows.

    Raises
    ------
    TruewardError
        As `rows`.

    """
    found = TableSurvey(mapping)
    for record in records:
        found.add(record)
    found.settle()
    numbers: Counter[str] = Counter()

    def read(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
        for record in records:
            place = (record.file, record.line)
            numbers[record.file] += 1
            name = f"{found.names[record.file]}/{numbers[record.file]}"
            try:
                yield from _row(record, found, mapping, name)
            except (InvalidRecord, *WRONG_TYPE) as e:
                yield Reject(_reason(e), place)
            except NoAnswer as e:
                yield Skip(str(e))

    return read


def _reason(e: Exception) -> str:
    return str(e) if isinstance(e, InvalidRecord) else f"a value of another type ({e})"[:150]


def _labels(record: Record, found: TableSurvey, roles: Mapping[str, str]) -> dict[str, Any]:
    """Return the labels of a row: 1, 0 or None for each column of feedback and of gold labels."""
    labels = {}
    columns = {roles.get("feedback"), roles.get("gold"), found.thumbs}
    for path in found.labels.keys() & columns:
        value = cell(record.value, path)
        word = label_word(value)
        if word is None and value is not None:
            raise InvalidRecord(f"its {path} should be a word or number, and is {shortened(value)}")
        labels[path] = None if word is None else found.labels[path][word]
    return labels


def _row(record: Record, found: TableSurvey, mapping: UserMapping, row: str) -> Iterator[Row]:
    value, place, roles = record.value, (record.file, record.line), found.roles[record.file]
    labels = _labels(record, found, roles)
    time = roles.get("time")
    at = None if time is None else found.times[time](cell(value, time))
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
    for path in {roles.get("feedback"), found.thumbs} & labels.keys():
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
    survey=survey,
    covers="`full` if it has every response that was shown; lowered if all are rated",
    wider="add the responses that nobody rated",
    mappable=frozenset(
        "prompt response feedback system response_id prompt_id user_id session_id time model comment gold"  # noqa: SIM905
        " context.NAME".split()
    ),
)
