"""OpenTelemetry protocol as JSON: envelopes, spans and typed values, in camelCase or snake_case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .values import snake_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVELOPES = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs")
OPENINFERENCE = "openinference.span.kind"


def is_envelope(record: Mapping[str, Any]) -> bool:
    """Whether a record is an envelope of many spans or log records.

    Parameters
    ----------
    record : mapping
        A JSON object.

    Returns
    -------
    bool
        True for ``resourceSpans`` and ``resourceLogs``.

    """
    return not {*ENVELOPES}.isdisjoint(record)


def is_openinference(record: Mapping[str, Any]) -> bool:
    """Whether a span, or any span of an envelope, has the attributes that Phoenix records.

    Parameters
    ----------
    record : mapping
        A span or an envelope.

    Returns
    -------
    bool
        True if ``openinference.span.kind`` is among them.

    """
    return any(map(_has_kind, unpack(record) if is_envelope(record) else [record]))


def _has_kind(span: Mapping[str, Any]) -> bool:
    attributes = span.get("attributes")
    if isinstance(attributes, list):
        return any(pair.get("key") == OPENINFERENCE for pair in attributes)
    return isinstance(attributes, dict) and OPENINFERENCE in attributes


def attributes_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes by name, from an object or from a list of keys and typed values.

    Parameters
    ----------
    value : mapping
        A span, an event or a log record.

    Returns
    -------
    dict of str to object
        The attributes.

    """
    attributes = value.get("attributes")
    if isinstance(attributes, list):
        return {pair["key"]: any_value(pair.get("value")) for pair in attributes if "key" in pair}
    flat = {k: v for k, v in value.items() if k.startswith(("gen_ai.", "event.name"))}
    return {**flat, **(attributes if isinstance(attributes, dict) else {})}


def any_value(value: Any) -> Any:
    """Return the value inside an AnyValue.

    Parameters
    ----------
    value : object
        An object such as ``{"stringValue": "a"}``; of several keys, one is not null.

    Returns
    -------
    object
        The value inside; ``value`` itself if it is no AnyValue.

    """
    if not isinstance(value, dict):
        return value
    given = {k: v for k, v in value.items() if v is not None} if len(value) > 1 else value
    if len(given) != 1:
        return value
    (kind, inner), *_ = given.items()
    kind = snake_case(kind)
    if kind == "array_value":
        return [any_value(v) for v in inner.get("values") or ()]
    if kind == "kvlist_value":
        return {pair["key"]: any_value(pair.get("value")) for pair in inner.get("values") or ()}
    return inner if kind.endswith("_value") else value


def unpack(envelope: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans and log records of an envelope with the keys of single records.

    Parameters
    ----------
    envelope : mapping
        An object with ``resourceSpans`` or ``resourceLogs``.

    Yields
    ------
    dict
        A span, or a log record with ``event_name``.

    """
    for resource in _any_case(envelope, "resource_spans"):
        for scope in _any_case(resource, "scope_spans"):
            yield from map(plain_span, scope.get("spans") or ())
    for resource in _any_case(envelope, "resource_logs"):
        for scope in _any_case(resource, "scope_logs"):
            for record in _any_case(scope, "log_records"):
                log = _snake(record)
                time = log.get("time_unix_nano") or log.get("observed_time_unix_nano")
                name = log.get("event_name") or attributes_of(log).get("event.name") or "unnamed"
                yield {**log, "event_name": name, "time": time}


def plain_span(span: Mapping[str, Any]) -> dict[str, Any]:
    """Return a span with keys in snake_case, and its times as ``start`` and ``time``.

    Parameters
    ----------
    span : mapping
        A span of an envelope, or one that stands by itself.

    Returns
    -------
    dict
        The same span.

    """
    plain = _snake(span)
    events = [
        {**_snake(e), "time": e.get("timeUnixNano") or e.get("time_unix_nano") or e.get("time")}
        for e in plain.get("events") or ()
        if isinstance(e, dict)
    ]
    start = plain.get("start") or plain.get("start_time") or plain.get("start_time_unix_nano")
    return {**plain, "start": start, "events": events}


def nested(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as nested objects, for paths such as ``attributes.input.value.question``.

    Parameters
    ----------
    attributes : mapping
        Attributes by their flat names.

    Returns
    -------
    dict
        ``{"input": {"value": ...}}`` for ``input.value``.

    """
    tree: dict[str, Any] = {}
    for name, inner in attributes.items():
        *steps, last = name.split(".")
        level = tree
        for step in steps:
            below = level.setdefault(step, {})
            level = below if isinstance(below, dict) else {}
        level.setdefault(last, inner)
    return tree


def _any_case(value: Mapping[str, Any], name: str) -> Any:
    first, *others = name.split("_")
    return value.get(name) or value.get(first + "".join(map(str.title, others))) or ()


def _snake(value: Mapping[str, Any]) -> dict[str, Any]:
    return {snake_case(key) if "." not in key else key: inner for key, inner in value.items()}
