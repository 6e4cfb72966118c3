"""Argilla: records of a dataset, flat or nested, with responses and suggestions per question.

Fields read: ``_server_id``; the prompt and response fields; ``QUESTION.responses`` with ``.users`` and
``.status``; ``QUESTION.suggestion`` with ``.agent``. The nested form has them under ``fields``,
``responses`` and ``suggestions``. Submitted responses become annotations, suggestions become judgements.
Records of 1.x: see `_argilla_1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.importers.channels import THUMBS, mapped_channel, signal_event
from trueward.importers.contract import (
    Event,
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.spans import read_parts
from trueward.importers.values import first_value, id_text

from ._argilla_1 import CORRECTED, flat_record, flat_row, flat_task, kind_of_1, page_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RESPONSES = ".responses"
SUGGESTION = ".suggestion"
OF_1 = {"feedback row": flat_row, "feedback record": flat_record, "task record": flat_task}


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: record (flat) or nested record of 2.x, or one of 1.x.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``record``, ``nested record``, ``feedback row``, ``feedback record``, ``page``, ``task record``, or
        None if the record is not of this source.

    """
    if "_server_id" not in record:
        return kind_of_1(record)
    if any(key.endswith((RESPONSES, SUGGESTION)) for key in record):
        return "record"
    return "nested record" if isinstance(record.get("responses"), dict) else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the response of a record, its submitted annotations and its suggestions.

    Parameters
    ----------
    records : sequence of Record
        One record.
    mapping : UserMapping
        Channels of questions, and paths of ``prompt`` and ``response``.

    Yields
    ------
    Row
        One response, then its events; a Skip for an answer that does not count.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.
    NoAnswer
        If a record has an answer without text, such as a tool call.

    """
    (record,) = records
    value = record.value
    if record.kind == "page":
        yield from read_parts(
            page_records(value), lambda item: _rows(flat_record(item), item["id"], mapping)
        )
    elif record.kind in OF_1:
        own = id_text(value.get("id") or value.get("external_id"))
        own = own or f"{Path(record.file).name}/{record.line}"
        yield from _rows(OF_1[record.kind](value), own, mapping)
    else:
        flat = _flattened(value) if record.kind == "nested record" else dict(value)
        yield from _rows(flat, value["_server_id"], mapping)


def _rows(flat: dict[str, Any], own: Any, mapping: UserMapping) -> Iterator[Row]:
    """Yield the response of a flat record and the answers about it."""
    name = f"argilla:{own}"
    texts = {
        what: first_value(flat, (*mapping.paths.get(what, ()), what, f"fields.{what}"))
        for what in ("prompt", "response")
    }
    for what, text in texts.items():
        if text is None:
            keys = ", ".join(k for k in flat if "." not in k)
            raise InvalidRecord(f"no field {what!r} among {keys}: name it by --map {what}=FIELD")
    yield Response(name, to_messages(texts["prompt"]), answer_text(texts["response"]))
    if (weight := flat.get("gold_weight")) is not None:
        yield signal_event(
            "gold_weight", weight, response_id=name, source="annotator", key="weight"
        )
    if (corrected := flat.get(CORRECTED)) is not None:
        yield _correction(name, texts["response"], corrected)
    for key in sorted(flat):
        if key.endswith(RESPONSES):
            yield from _annotations(name, key.removesuffix(RESPONSES), flat, mapping)
        elif key.endswith(SUGGESTION) and flat[key] is not None:
            question = key.removesuffix(SUGGESTION)
            agent = id_text(flat.get(f"{key}.agent"))
            yield _answer(name, question, flat[key], mapping, source="judge", actor_id=agent)


def _annotations(
    name: str, question: str, flat: Mapping[str, Any], mapping: UserMapping
) -> Iterator[Row]:
    values = flat.get(f"{question}{RESPONSES}") or []
    users = flat.get(f"{question}{RESPONSES}.users") or [None] * len(values)
    states = flat.get(f"{question}{RESPONSES}.status") or [None] * len(values)
    for value, user, state in zip(values, users, states, strict=False):
        if state is None:
            raise InvalidRecord(
                "does not say which answers were submitted: export with flatten=True"
            )
        if state != "submitted":
            yield Skip(f"an answer that is {state} and not submitted")
        else:
            actor = id_text(user)
            yield _answer(name, question, value, mapping, source="annotator", actor_id=actor)


def _answer(name: str, question: str, value: Any, mapping: UserMapping, **fields: Any) -> Row:
    channel = mapped_channel(question, mapping)
    if channel is None:
        return Skip(f"the question {question!r} is not mapped")
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    key = f"{question}/{fields['actor_id']}"
    if isinstance(single, list | dict):
        return Skip(f"an answer of several values to {question!r}")
    if isinstance(single, str) and channel in {"correction", "comment"}:
        return Event(channel, 1.0, response_id=name, key=key, **fields, text=single)
    if isinstance(single, str) and channel != THUMBS and not single.strip().isdigit():
        return Skip(f"the answer {single!r} to {question!r} is no number")
    return signal_event(channel, single, response_id=name, key=key, **fields)


def _correction(name: str, response: Any, answer: Mapping[str, Any]) -> Row:
    """Return the text that an annotator made of a prediction."""
    text = answer["value"]
    if text is None:
        return Skip("a text without an annotation")
    if answer["status"] != "submitted":
        return Skip(f"an answer that is {answer['status']} and not submitted")
    if text == response:
        return Skip("an annotation that leaves the text as it was")
    actor = id_text(answer["user_id"])
    return Event(
        "correction",
        1.0,
        "annotator",
        response_id=name,
        actor_id=actor,
        key=f"annotation/{actor}",
        text=str(text),
    )


def _flattened(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested record in the flat form; it has a status only if its answers carry one."""
    fields = value.get("fields") or {}
    weight = (value.get("metadata") or {}).get("gold_weight")
    flat: dict[str, Any] = {"gold_weight": weight, **fields, "fields": fields}
    for question, answers in (value.get("responses") or {}).items():
        flat[f"{question}{RESPONSES}"] = [a.get("value") for a in answers]
        flat[f"{question}{RESPONSES}.users"] = [a.get("user_id") for a in answers]
        flat[f"{question}{RESPONSES}.status"] = [a.get("status") for a in answers]
    for question, suggestion in (value.get("suggestions") or {}).items():
        if isinstance(suggestion, dict):
            flat[f"{question}{SUGGESTION}"] = suggestion.get("value")
            flat[f"{question}{SUGGESTION}.agent"] = suggestion.get("agent")
    return flat


SOURCE = Source(
    title="Argilla records, as gold labels",
    levels=dict.fromkeys(("record", "nested record", "page", *OF_1), "annotation"),
    record_kind=record_kind,
    rows=rows,
    covers="`annotation`: labels by design; export 2.x flattened, its nested form has no status of answers",
    wider="import the log of the product, and join these labels by fit --gold",
    mappable=frozenset({"prompt", "response"}),
)
