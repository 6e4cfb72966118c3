"""TensorZero: inferences with their feedback, from ClickHouse, Postgres or the API.

Fields read of inferences (``ChatInference``, ``JsonInference``, ``chat_inferences`` joined with
``chat_inference_data``, pages of the API): ``id`` or ``inference_id``, ``episode_id``, ``function_name``,
``variant_name``, ``input``, ``output``, ``dispreferred_outputs``, ``tags``, ``timestamp`` or ``created_at``;
if the query joins ``ModelInference``, ``system``, ``input_messages`` and ``model_name``. Of feedback
(boolean and float metrics, comments, demonstrations): ``id``, ``target_id`` or ``inference_id``,
``target_type``, ``metric_name``, ``value``, ``tags``, ``timestamp`` or ``created_at``. An id is a UUID of
version 7, which has the time.
"""

from __future__ import annotations

import ast
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trueward.importers.channels import finite_number, mapped_channel, shortened, signal_event
from trueward.importers.contract import (
    Actor,
    Event,
    InvalidRecord,
    Place,
    Record,
    Reject,
    Response,
    Row,
    Skip,
    Source,
    UserMapping,
)
from trueward.importers.messages import answer_text, to_messages
from trueward.importers.spans import mapped, read_parts
from trueward.importers.traces import NOT_NAMED, UNKNOWN
from trueward.importers.values import decode_json, id_text, parse_time

from ._openwebui_texts import changed_share
from ._tensorzero_texts import output_text, prompt_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INFERENCE = {"function_name", "variant_name", "episode_id"}
DEMONSTRATION = {"id", "inference_id", "value", "tags", "timestamp", "created_at", "snapshot_hash"}
OWN, DIRECT = (
    "tensorzero::",
    "tensorzero::default",
)  # functions of the product; calls of a model by name
RUNS = tuple(f"{OWN}{kind}evaluation_run_id" for kind in ("", "dynamic_", "workflow_"))
OF_EVALUATION = "an inference of an evaluation or of TensorZero itself, which users were not shown"
HUMAN, JUDGE = f"{OWN}human_feedback", f"{OWN}evaluator_inference_id"  # tags of feedback
NO_TEXTS = (
    "the texts of an inference stand in a table of their own: join chat_inferences with "
    "chat_inference_data (or the json tables) by id"
)
UNREAD = [{"role": "user", "content": ""}]  # the prompt of an inference that was not shown
Value = dict[str, Any]


def record_kind(record: Mapping[str, Any]) -> str | None:
    """Return the kind of a record: inference, metric, comment, demonstration, or a page or table of others.

    Parameters
    ----------
    record : mapping
        A JSON object or table row.

    Returns
    -------
    str or None
        None if the record is not of this source.

    """
    keys = record.keys()
    if keys >= INFERENCE and ("id" in keys or "inference_id" in keys):
        return "inference" if "input" in keys and "output" in keys else "inference without texts"
    if {"id", "input", "output", "inference_params", "created_at"} <= keys:
        return "inference without texts"
    if {"target_id", "metric_name", "value"} <= keys:
        return "metric"
    if {"target_id", "target_type", "value"} <= keys:
        return "comment"
    if {"id", "inference_id", "value"} <= keys <= DEMONSTRATION | {"type"}:
        return "demonstration"
    if {"metric_name", "datapoint_id", "value"} <= keys:
        return "evaluation"
    if {"inference_id", "model_provider_name"} <= keys:
        return "model call"
    for name in ("inferences", "feedback"):
        page = record.get(name)
        if isinstance(page, list) and page and isinstance(page[0], dict):
            return "page" if record_kind(page[0]) not in (None, "page") else None
    return None


def group_key(record: Record) -> str | None:
    """Return the episode of an inference, whose inferences are read together.

    Parameters
    ----------
    record : Record
        Any record.

    Returns
    -------
    str or None
        None for feedback, which names what it is about.

    """
    return id_text(record.value["episode_id"]) if record.kind == "inference" else None


def rows(records: Sequence[Record], mapping: UserMapping) -> Iterator[Row]:
    """Yield the inferences of an episode as responses, and feedback as events.

    Parameters
    ----------
    records : sequence of Record
        The inferences of one episode, or one record of another kind.
    mapping : UserMapping
        Channels of metrics by name, paths of texts and ids, and functions whose answers users saw.

    Yields
    ------
    Row
        A response, an event, a Skip, or a Reject for an inference that cannot be read.

    Raises
    ------
    InvalidRecord
        If a record cannot be used.

    """
    first = records[0]
    if first.kind == "inference":
        yield from _episode([(r.value, (r.file, r.line)) for r in records], mapping)
    elif first.kind == "page":
        place = (first.file, first.line)
        value = first.value
        episodes: dict[str, list[tuple[Value, Place]]] = {}
        for inference in value.get("inferences") or ():
            if not isinstance(inference, dict):
                yield Reject(
                    f"an inference should be an object, and is {shortened(inference)}", place
                )
                continue
            episodes.setdefault(str(inference.get("episode_id")), []).append((inference, place))
        for episode in episodes.values():
            yield from _episode(episode, mapping)
        yield from read_parts(value.get("feedback") or (), lambda part: _feedback(part, mapping))
    elif first.kind == "inference without texts":
        raise InvalidRecord(NO_TEXTS)
    elif first.kind == "evaluation":
        yield Skip("feedback on a datapoint of an evaluation, which users were not shown")
    elif first.kind == "model call":
        yield Skip("a model call, read only where a query joins it with its inference")
    else:
        yield from _feedback(first.value, mapping)


def _episode(placed: Sequence[tuple[Value, Place]], mapping: UserMapping) -> Iterator[Row]:
    """Yield the inferences; those of one function are turns, of several it is unknown which users saw."""
    placed = sorted(placed, key=lambda p: (_id(p[0]) or "", p[1]))
    functions = {_function(value) for value, _ in placed if not _is_internal(value)}
    parts = [(value, place, _unshown(value, functions, mapping)) for value, place in placed]
    shown = dict.fromkeys(_id(value) for value, _, reason in parts if reason is None)
    turns = {name: turn for turn, name in enumerate(shown)}

    def read(part: tuple[Value, Place, str | None]) -> Iterator[Row]:
        value, _, reason = part
        return _inference(value, reason, turns.get(_id(value), 0), mapping)

    yield from read_parts(parts, read, lambda part: part[1])


def _unshown(value: Value, functions: set[str], mapping: UserMapping) -> str | None:
    """Return why users did not see an inference; None if they did."""
    if _is_internal(value):
        return OF_EVALUATION
    if mapping.shown:
        return None if _function(value) in mapping.shown else NOT_NAMED
    return UNKNOWN if len(functions) > 1 else None


def _function(value: Mapping[str, Any]) -> str:
    return str(value.get("function_name"))


def _id(value: Mapping[str, Any]) -> str | None:
    return id_text(value.get("inference_id") or value.get("id"))


def _tags(value: Mapping[str, Any]) -> Value:
    tags = decode_json(value.get("tags"))
    if isinstance(tags, str) and tags.startswith("{'"):  # a map in a CSV of ClickHouse
        with contextlib.suppress(ValueError, SyntaxError):
            tags = ast.literal_eval(tags)
    return tags if isinstance(tags, dict) else {}


def _is_internal(value: Mapping[str, Any]) -> bool:
    function, tags = _function(value), _tags(value)
    return (function.startswith(OWN) and function != DIRECT) or any(run in tags for run in RUNS)


def _inference(value: Value, reason: str | None, turn: int, mapping: UserMapping) -> Iterator[Row]:
    name, tags, function = _id(value), _tags(value), _function(value)
    output, shown = value.get("output"), decode_json(value.get("dispreferred_outputs"))
    demonstration = None
    if isinstance(shown, list) and shown:  # the page gives the demonstration in place of the output
        output, demonstration = shown[0], output_text(output)
    answered = mapped(value, mapping, "response", None)
    answer = output_text(output) if answered is None else answer_text(answered)
    episode = id_text(value.get("episode_id"))
    fields: dict[str, Any] = {"group": episode, "span_name": function, "shown_at": _time(value)}
    if reason is not None:
        fields |= {"unshown": reason, "precedence": "hidden"}
        yield Response(f"tensorzero:{name}", UNREAD, answer, **fields)
        return
    asked = mapped(value, mapping, "prompt", None)
    yield Response(
        f"tensorzero:{name}",
        prompt_messages(value) if asked is None else to_messages(asked),
        answer,
        user_id=id_text(mapped(value, mapping, "user", tags.get("user_id"))),
        session_id=id_text(mapped(value, mapping, "session", episode)),
        model=id_text(value.get("model_name") or value.get("variant_name")),
        turn=turn,
        context={"function": function},
        **fields,
    )
    if demonstration:
        share = changed_share(answer, demonstration)
        about: dict[str, Any] = {"response_id": f"tensorzero:{name}", "key": "edit"}
        yield Event("edit", share, "user", text=demonstration, **about)


def _time(value: Mapping[str, Any]) -> datetime | None:
    """Return the time of an id of version 7, which is finer than the column's, else that of the column."""
    try:
        uuid = UUID(str(_id(value) if "episode_id" in value else value.get("id")))
    except ValueError:
        uuid = None
    if uuid is not None and uuid.version == 7:
        return datetime.fromtimestamp((uuid.int >> 80) / 1000, UTC)
    return parse_time(value.get("timestamp") or value.get("created_at"))


def _feedback(value: Value, mapping: UserMapping) -> Iterator[Row]:
    """Yield a metric, a comment or a demonstration; an episode's goes to its last shown answer."""
    metric, stated, tags = value.get("metric_name"), value.get("value"), _tags(value)
    target = id_text(value.get("target_id") or value.get("inference_id"))
    is_metric = isinstance(metric, str)
    channel = mapped_channel(metric, mapping) if is_metric else None
    human = str(tags.get(HUMAN)).lower() == "true"
    judged = JUDGE in tags or (is_metric and str(metric).startswith(OWN))
    source: Actor = "annotator" if human else "judge" if judged else "user"
    at, name = _time(value), id_text(value.get("id"))
    fields: dict[str, Any] = {"response_id": f"tensorzero:{target}", "group": target}
    fields |= {"at": at, "updated_at": at, "event_id": name, "source": source}
    fields["actor_id"] = id_text(tags.get("user_id") or tags.get("author"))
    key = f"{metric or ('comment' if 'target_type' in value else 'edit')}/{source}/{fields['actor_id']}"
    if stated in (None, ""):
        yield Skip("feedback without a value")
    elif not is_metric and "target_type" in value:
        yield Event("comment", 1.0, key=key, text=str(stated), **fields)
    elif not is_metric:
        text = output_text(stated)
        yield Event("correction" if human else "edit", 1.0, key=key, text=text, **fields)
    elif channel is not None:
        yield signal_event(channel, stated, key=key, **fields)
    elif source == "judge":
        yield Event("rating", finite_number(stated), key=key, **fields)
    else:
        yield Skip(f"the metric {metric!r} is not mapped")


SOURCE = Source(
    title="TensorZero inferences and feedback (ClickHouse, Postgres, API pages)",
    levels={
        **dict.fromkeys(("inference", "page"), "full"),
        **dict.fromkeys(("metric", "comment", "demonstration", "evaluation", "model call")),
        "inference without texts": None,
    },
    record_kind=record_kind,
    rows=rows,
    group_key=group_key,
    covers="`full`, given every inference; feedback alone holds no text",
    wider="export every row of ChatInference or JsonInference beside the feedback",
    signals={"user_feedback": "thumbs", "thumbs_up": "thumbs"},
    mappable=frozenset({"prompt", "response", "session", "user"}),
)
