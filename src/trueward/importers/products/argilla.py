"""Argilla: records with what annotators answered, as gold labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import THUMBS, channel_of, signal
from trueward.importers.contract import Ask, Bad, Record, Response, Row, Skip, Source
from trueward.importers.values import answer, conversation, first, word

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENDING = ".responses"


def shape(record: Mapping[str, Any]) -> str | None:
    """Know a record, flat or nested."""
    if "_server_id" not in record:
        return None
    if any(key.endswith((ENDING, ".suggestion")) for key in record):
        return "record"
    return "nested record" if isinstance(record.get("responses"), dict) else None


def rows(unit: Sequence[Record], ask: Ask) -> Iterator[Row]:
    """Give the record's answer as a response, submitted answers as annotations, suggestions as a judge's."""
    (record,) = unit
    value = record.value
    if record.shape == "nested record":
        flat: dict[str, Any] = _flattened(value)
    else:
        flat = dict(value)
    name = f"argilla:{value['_server_id']}"
    prompt, reply = (
        first(flat, (*ask.paths.get(what, ()), what, f"fields.{what}"))
        for what in ("prompt", "response")
    )
    for what, held in (("prompt", prompt), ("response", reply)):
        if held is None:
            keys = ", ".join(k for k in flat if "." not in k)
            raise Bad(f"no field {what!r} among {keys}: say which by --map {what}=FIELD")
    yield Response(name, conversation(prompt), answer(reply))
    for key in sorted(flat):
        if key.endswith(ENDING):
            yield from _answers(name, key.removesuffix(ENDING), flat, ask)
        elif key.endswith(".suggestion") and flat[key] is not None:
            question = key.removesuffix(".suggestion")
            agent = word(flat.get(f"{key}.agent"))
            yield from _said(name, question, flat[key], ask, source="judge", actor_id=agent)


def _answers(name: str, question: str, flat: Mapping[str, Any], ask: Ask) -> Iterator[Row]:
    values = flat.get(f"{question}{ENDING}") or []
    users = flat.get(f"{question}{ENDING}.users") or [None] * len(values)
    status = flat.get(f"{question}{ENDING}.status") or [None] * len(values)
    for value, user, state in zip(values, users, status, strict=False):
        if state is None:
            raise Bad("does not say which answers were submitted: export with flatten=True")
        if state != "submitted":
            yield Skip(f"an answer that is {state} and not submitted")
        else:
            yield from _said(name, question, value, ask, source="annotator", actor_id=word(user))


def _said(name: str, question: str, value: Any, ask: Ask, **about: Any) -> Iterator[Row]:
    channel = channel_of(question, ask)
    if channel is None:
        yield Skip(f"the question {question!r} is not mapped")
        return
    plain = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(plain, str) and channel != THUMBS and not plain.strip().isdigit():
        yield Skip(f"the answer {plain!r} to {question!r} is no number")
        return
    yield signal(channel, plain, response_id=name, key=f"{question}/{about['actor_id']}", **about)


def _flattened(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give the flat form of a nested record; it has a status only where its answers carry one."""
    flat: dict[str, Any] = {**(value.get("fields") or {}), "fields": value.get("fields") or {}}
    for question, told in (value.get("responses") or {}).items():
        flat[f"{question}{ENDING}"] = [a.get("value") for a in told]
        flat[f"{question}{ENDING}.users"] = [a.get("user_id") for a in told]
        flat[f"{question}{ENDING}.status"] = [a.get("status") for a in told]
    for question, made in (value.get("suggestions") or {}).items():
        if isinstance(made, dict):
            flat |= {f"{question}.suggestion": made.get("value")}
            flat |= {f"{question}.suggestion.agent": made.get("agent")}
    return flat


SOURCE = Source(
    title="Argilla records, as gold labels",
    levels={"record": "annotation", "nested record": "annotation"},
    shape=shape,
    rows=rows,
    covers="`annotation`: labels by design; export flattened, the nested form has no status of answers",
    wider="import the log of the product, and join these labels by fit --gold",
    paths=frozenset({"prompt", "response"}),
)
