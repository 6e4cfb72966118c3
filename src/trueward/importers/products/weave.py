"""W&B Weave: calls with their feedback, from the export of the UI, the SDK or the service API.

Fields read of calls: ``id``, ``op_name``, ``trace_id``, ``parent_id``, ``started_at``, ``ended_at``,
``inputs``, ``output``, ``exception``, ``deleted_at``, ``thread_id``, ``attributes`` and
``summary.weave.feedback``; in tables the columns of their paths. Of feedback, there or as records of its own:
see `_weave_feedback`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from trueward.importers.contract import Record, Row, Skip, Source, UserMapping
from trueward.importers.spans import (
    TEXTS,
    attribute_signals,
    call_row,
    mapped,
    read_parts,
    span_row,
)
from trueward.importers.values import decode_json, id_text, parse_time

from ._dotted import nested
from ._weave_feedback import FEEDBACK, feedback_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# names of the ops of providers, whose calls are model calls; an op may also say so itself
MODEL_CALL = re.compile(
    r"(?:openai|anthropic|mistralai|cohere|groq|litellm|google|vertexai|cerebras|huggingface_hub|together"
    r"|BedrockRuntime|bedrock|nvidia|langchain\.(?:Llm|Chat))\b.*"
)
EVALUATION = re.compile(r"Evaluation\.\w+")
OF_EVALUATION = "_weave_eval_meta"  # attribute of a call inside an evaluation
STEPS = frozenset({"tool", "search"})  # kinds of ops whose output is no answer
REF = "weave:///"
Value = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: call or feedback.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        ``call`` or ``feedback``, or None if the record is not of this source.

    """
    keys = record.keys()
    if {"weave_ref", "feedback_type"} <= keys:
        return "feedback"
    return "call" if {"id", "op_name", "trace_id", "started_at"} <= keys else None


def group_key(record: Record) -> str | None:
    """Return the trace of a call, since only its root says whether users saw any of it.

    Parameters
    ----------
    record : Record
        Any record.

    Returns
    -------
    str or None
        The trace; None for feedback.

    """
    return id_text(record.value["trace_id"]) if record.kind == "call" else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield model calls, the calls of other ops around them, and feedback as events.

    Parameters
    ----------
    records : sequence of Record
        The calls of one trace, or feedback.
    mapping : UserMapping
        Channels of feedback, paths of texts.

    Yields
    ------
    Row
        A response, an event, or a Skip for what gives neither.

    """
    hidden = _hidden(records)

    def read(record: Record) -> Iterator[Row]:
        if record.kind == "feedback":
            return feedback_rows(record.value, mapping)
        return _call(record.value, hidden.get(str(record.value["id"])), mapping)

    yield from read_parts(records, read, lambda record: (record.file, record.line))


def _name(call: Mapping[str, Any]) -> str:
    """Return ``chat`` of ``weave:///entity/project/op/chat:digest``."""
    name = str(call["op_name"])
    return name.rpartition("/op/")[2].partition(":")[0] if name.startswith(REF) else name


def _hidden(records: Sequence[Record]) -> dict[str, str]:
    """Return the ids of calls inside evaluations and scorers, and what they are inside of."""
    above: dict[str, str] = {}
    found: dict[str, str] = {}
    for record in records:
        if record.kind != "call":
            continue
        own, name = str(record.value["id"]), _name(record.value)
        above[own] = id_text(record.value.get("parent_id")) or ""
        attributes = decode_json(nested(record.value, "attributes")) or {}
        if EVALUATION.fullmatch(name) or OF_EVALUATION in attributes:
            found[own] = "evaluation"
        elif name.endswith(".score") or _kind(attributes) == "scorer":
            found[own] = "scorer"
    for own in above if found else ():
        path, step = {own: ""}, above[own]
        while step and step not in found and step not in path and own not in found:
            path[step] = ""
            step = above.get(step, "")
        found |= dict.fromkeys(path, found[step]) if step in found else {}
    return found


def _call(value: Mapping[str, Any], inside: str | None, mapping: UserMapping) -> Iterator[Row]:
    """Yield a model call, or the call of another op around it, and its feedback."""
    own, feedback = id_text(value["id"]), list(_feedback(value))
    reason = None
    if inside is not None:
        reason = f"a call inside of an {inside}" if inside[0] == "e" else f"a call of a {inside}"
    elif value.get("exception"):
        reason = "a call that ended in an exception"
    elif value.get("deleted_at"):
        reason = "a call that was deleted"
    if reason is not None:
        yield Skip(reason)
        yield from [Skip("feedback on a call that users did not see")] * len(feedback)
        return
    inputs, output = decode_json(nested(value, "inputs")), decode_json(nested(value, "output"))
    attributes = decode_json(nested(value, "attributes")) or {}
    kind = _kind(attributes)
    name, trace = _name(value), id_text(value["trace_id"])
    parent = id_text(value.get("parent_id"))
    asked = mapped(value, mapping, "prompt", _asked(inputs))
    answered = mapped(value, mapping, "response", output)
    fields: Value = {
        "response_id": f"weave:{own}",
        "user_id": id_text(mapped(value, mapping, "user", None)),
        "session_id": id_text(mapped(value, mapping, "session", value.get("thread_id"))),
        "shown_at": parse_time(value.get("started_at")),
        "model": _model(inputs, output),
        "group": trace,
        "parent_span": f"weave:{parent}" if parent else None,
        "span_name": name,
        "updated_at": parse_time(value.get("ended_at")),
    }
    if kind == "llm" or (kind is None and MODEL_CALL.fullmatch(name)):
        yield call_row(asked, answered, **fields)
    else:
        asked, answered = (None, None) if kind in STEPS else (asked, answered)
        yield span_row(asked, answered, "a call of an op around its answer", **fields)
    about = {"response_id": fields["response_id"], "group": trace}
    yield from read_parts(feedback, lambda part: feedback_rows(part, mapping, **about))
    own_names = {k: v for k, v in attributes.items() if k not in {"weave", "python"}}
    yield from attribute_signals(own_names, mapping, "attribute", **about)


def _kind(attributes: Mapping[str, Any]) -> str | None:
    """Return what an op says of itself: llm, tool, search, agent or scorer."""
    return id_text((decode_json(attributes.get("weave")) or {}).get("kind"))


def _feedback(value: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the feedback inside a call; what a table holds in another form is None."""
    summary = decode_json(value.get("summary"))
    inner = (summary.get("weave") or {}) if isinstance(summary, dict) else {}
    found = decode_json(inner.get("feedback") or value.get(FEEDBACK))
    yield from found if isinstance(found, list) else [None] if found else []
    for column, cell in value.items():
        if column.startswith(f"{FEEDBACK}.") and cell not in (None, ""):
            yield None


def _asked(inputs: Any) -> Any:
    """Return the arguments of an op without itself and references to objects; an only text is the prompt."""
    if not isinstance(inputs, dict):
        return inputs
    found = {
        key: value
        for key, value in inputs.items()
        if key != "self" and not (isinstance(value, str) and value.startswith(REF))
    }
    values = list(found.values())
    return values[0] if len(values) == 1 and isinstance(values[0], str) else found


def _model(inputs: Any, output: Any) -> str | None:
    parts = (part.get("model") for part in (output, inputs) if isinstance(part, dict))
    return next((model for model in parts if isinstance(model, str) and model), None)


SOURCE = Source(
    title="W&B Weave calls with their feedback (UI export, SDK, service API)",
    levels={"call": "full", "feedback": None},
    record_kind=record_kind,
    rows=rows,
    covers="`full`, given every call; feedback alone holds no text",
    wider="export all calls with their feedback (JSONL), not those with feedback only",
    signals={"wandb.reaction.1": "thumbs", "wandb.agent_user_feedback": "thumbs"},
    mappable=TEXTS,
    group_key=group_key,
)
