"""Argilla: records of a dataset, flat or nested, with responses and suggestions per question.

Fields read: ``_server_id``; the prompt and response fields; ``QUESTION.responses`` with ``.users`` and
``.status``; ``QUESTION.suggestion`` with ``.agent``. The nested form has them under ``fields``,
``responses`` and ``suggestions``. Submitted responses become annotations, suggestions become judgements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import THUMBS, mapped_channel, signal_event
from trueward.importers.contract import (
    InvalidRecord,
    Record,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.values import first_value, id_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RESPONSES = ".responses"
SUGGESTION = ".suggestion"


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: record (flat) or nested record.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``record`` or ``nested record``, or None if the record is not of this source.

    """
    if "_server_id" not in record:
        return None
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
    flat: dict[str, Any] = _flattened(value) if record.kind == "nested record" else dict(value)
    name = f"argilla:{value['_server_id']}"
    texts = {
        what: first_value(flat, (*mapping.paths.get(what, ()), what, f"fields.{what}"))
        for what in ("prompt", "response")
    }
    for what, text in texts.items():
        if text is None:
            keys = ", ".join(k for k in flat if "." not in k)
            raise InvalidRecord(f"no field {what!r} among {keys}: name it by --map {what}=FIELD")
    yield Response(name, to_messages(texts["prompt"]), answer_text(texts["response"]))
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
    if isinstance(single, str) and channel != THUMBS and not single.strip().isdigit():
        return Skip(f"the answer {single!r} to {question!r} is no number")
    key = f"{question}/{fields['actor_id']}"
    return signal_event(channel, single, response_id=name, key=key, **fields)


def _flattened(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a nested record in the flat form; it has a status only if its answers carry one."""
    fields = value.get("fields") or {}
    flat: dict[str, Any] = {**fields, "fields": fields}
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
    levels={"record": "annotation", "nested record": "annotation"},
    record_kind=record_kind,
    rows=rows,
    covers="`annotation`: labels by design; export flattened, the nested form has no status of answers",
    wider="import the log of the product, and join these labels by fit --gold",
    mappable=frozenset({"prompt", "response"}),
)
