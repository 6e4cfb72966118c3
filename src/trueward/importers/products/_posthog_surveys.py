"""Surveys of PostHog: who was asked about an answer, and what was answered.

Fields read of ``properties``: ``$survey_id``, ``$survey_name``, ``$survey_submission_id``,
``$survey_questions``, ``$survey_response``, ``$survey_response_N`` and ``$survey_response_QUESTION``,
``$ai_trace_id`` and ``$ai_span_id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.data.feedback_words import FeedbackWords, number_of, spelled
from trueward.importers.channels import THUMBS, mapped_channel, signal_event
from trueward.importers.contract import Event, Record, Row, Skip, UserMapping
from trueward.importers.spans import read_parts
from trueward.importers.values import decode_json, id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SURVEY_EVENTS = ("survey shown", "survey sent", "survey dismissed", "survey abandoned")
RESPONSE = "$survey_response"
THUMB_VALUES = {"1": "up", "2": "down"}  # of the survey of thumbs, a rating of 1 or 2
Value = dict[str, Any]


def survey_id(event: Mapping[str, Any]) -> str:
    """Return the id of the survey that an event is of; empty if it names none.

    Parameters
    ----------
    event : mapping
        An event with its properties.

    Returns
    -------
    str
        The id.

    """
    return id_text(event["properties"].get("$survey_id")) or ""


def survey_rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield who saw the question, and the answers.

    Parameters
    ----------
    records : sequence of Record
        All events of one survey.
    mapping : UserMapping
        Channels of surveys, by name or id.

    Yields
    ------
    Row
        Events; a Skip for an answer that is not mapped, or about no response.

    """
    about = [r for r in records if r.value["properties"].get("$ai_trace_id") not in (None, "")]
    for _ in range(len(records) - len(about)):
        yield Skip("an event of a survey without $ai_trace_id is about no response")
    first = [_answers(record.value["properties"])[:1] for record in about]
    values = [spelled(answer[1]) for answers in first for answer in answers]
    is_thumbs = bool(values) and set(values) <= THUMB_VALUES.keys()
    name = next(
        (n for r in about if (n := id_text(r.value["properties"].get("$survey_name")))), None
    )
    name = name or (survey_id(about[0].value) if about else "")
    if is_thumbs and not _mapped(name, about[0].value, mapping):
        mapping.found[f"survey {name!r}"] = (
            f"all answers ({len(values):,}) are 1 or 2, which is up or down in PostHog's surveys of thumbs; "
            f"if it is a rating: --map 'rating={name}' --scale 1:5"
        )
    yield from read_parts(
        about,
        lambda record: _survey(record.value, name, mapping, is_thumbs=is_thumbs),
        lambda record: (record.file, record.line),
    )


def _answers(properties: Value) -> list[tuple[str, Any]]:
    """Return question and answer, the first question first; its name is empty."""
    questions = decode_json(properties.get("$survey_questions"))
    questions = [q for q in questions if isinstance(q, dict)] if isinstance(questions, list) else []
    ids = [id_text(question.get("id")) or "" for question in questions]
    names = {q_id: str(q.get("question") or q_id) for q_id, q in zip(ids, questions, strict=True)}
    found: dict[str, Any] = {}
    for key, value in properties.items():
        if not key.startswith(RESPONSE) or value in (None, "", []):
            continue
        inner = decode_json(value)
        value = inner[0] if isinstance(inner, list) and len(inner) == 1 else value  # noqa: PLW2901
        rest = key[len(RESPONSE) :].removeprefix("_")
        if rest.isdecimal() and int(rest) < len(ids):
            rest = ids[int(rest)]
        elif not rest and ids:
            rest = ids[0]
        found.setdefault(rest, value)
    is_first = {rest: rest in ("", "0", *ids[:1]) or len(found) == 1 for rest in found}
    order = sorted(found, key=lambda rest: (not is_first[rest], rest))
    return [("" if is_first[rest] else names.get(rest, rest), found[rest]) for rest in order]


def _mapped(name: str, event: Value, mapping: UserMapping) -> str | None:
    own = survey_id(event)
    known = own if own in mapping.signals and name not in mapping.signals else name
    return mapped_channel(known, mapping)


def _survey(event: Value, name: str, mapping: UserMapping, *, is_thumbs: bool) -> Iterator[Row]:
    properties = event["properties"]
    survey, trace = survey_id(event), id_text(properties["$ai_trace_id"])
    span = id_text(properties.get("$ai_span_id"))
    own = id_text(event.get("uuid") or event.get("id"))
    answer = id_text(properties.get("$survey_submission_id")) or own
    fields: Value = {
        "source": "user",
        "group": trace,
        "response_id": span and f"posthog:{span}",
        "at": parse_time(event.get("timestamp")),
        "actor_id": id_text(event.get("distinct_id")),
    }
    yield Event("seen", 1.0, **fields, event_id=own)  # a survey is logged once it is on the screen
    for question, value in _answers(properties):
        key = f"{survey}/{answer}/{question}"
        if question:
            yield from _further(f"{name}/{question}", value, {**fields, "key": key}, mapping)
            continue
        channel = _mapped(name, event, mapping)
        if is_thumbs and channel in (None, THUMBS):
            value, channel = THUMB_VALUES[spelled(value)], THUMBS  # noqa: PLW2901 - its meaning
        elif channel is None and FeedbackWords().meaning(value) in {"good", "bad"}:
            channel = THUMBS if number_of(spelled(value)) is None else None
        if channel is not None:
            yield signal_event(channel, value, **fields, key=key)
        elif number_of(spelled(value)) is None:
            yield Event("comment", 1.0, **fields, key=key, text=str(value))
        else:
            yield Skip(f"the survey {name!r} is not mapped")


def _further(name: str, value: Any, fields: Value, mapping: UserMapping) -> Iterator[Row]:
    """Yield the answer to a question after the first: a comment, unless it is mapped."""
    if name in mapping.signals or number_of(spelled(value)) is not None:
        channel = mapped_channel(name, mapping)
        if channel is None:
            yield Skip(f"the question {name!r} is not mapped")
        else:
            yield signal_event(channel, value, **fields)
        return
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    yield Event("comment", 1.0, **fields, text=text)
