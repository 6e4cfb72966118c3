"""Scores of Amplitude, and events of an application that say what users did with an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.importers.channels import THUMBS, finite_number, mapped_channel, signal_event
from trueward.importers.contract import Actor, Event, InvalidRecord, Skip
from trueward.importers.spans import FEEDBACK
from trueward.importers.values import id_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from trueward.importers.contract import Row, UserMapping

PREFIX = "[Agent] "
SOURCES: dict[str, Actor] = {"user": "user", "reviewer": "annotator", "ai": "judge"}
VALUES = ("Score Value", "value", "rating", "feedback", "score")  # of an event of the application


def score_rows(event: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield a score of a message or a session; a session's goes to its last answer.

    Parameters
    ----------
    event : mapping
        An event, its properties without the prefix.
    mapping : UserMapping
        Channels of scores and events by name.

    Yields
    ------
    Row
        Events, or a Skip for a score that is not mapped.

    """
    props = event["event_properties"]
    name, stated = props.get("Score Name"), props.get("Score Value")
    channel, said = mapped_channel(name, mapping), str(props.get("Evaluation Source") or "").lower()
    source = SOURCES.get(said or ("user" if channel else ""))
    if source is None:
        raise InvalidRecord(f"the source of {name!r} should be one of {', '.join(SOURCES)}")
    if stated is None:
        yield Skip("a score without a value")
        return
    fields = {**_target(props), **_by(event), "source": source}
    fields["key"] = f"{name}/{source}/{fields['actor_id']}"
    if channel is not None:
        yield signal_event(channel, stated, **fields)
    elif source == "judge":
        yield Event("rating", finite_number(stated), **fields)
    else:
        yield Skip(f"the score {name!r} is not mapped")
        return
    if props.get("Comment"):
        name = fields["event_id"]
        more = {"key": f"{fields['key']}/comment", "event_id": name and f"{name}/comment"}
        yield Event("comment", 1.0, **{**fields, **more}, text=str(props["Comment"]))


def _by(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return who sent an event, and when."""
    at = event_time(event)
    actor = id_text(event.get("user_id") or event.get("device_id"))
    return {"at": at, "updated_at": at, "actor_id": actor, "event_id": insert_id(event)}


def event_time(event: Mapping[str, Any]) -> datetime | None:
    """Return when an event happened.

    Parameters
    ----------
    event : mapping
        An event, its properties without the prefix.

    Returns
    -------
    datetime or None
        Time in UTC.

    """
    keys = ("event_time", "client_event_time", "time")
    return parse_time(next((event[key] for key in keys if event.get(key)), None))


def _target(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response or the group that a score names."""
    target = id_text(props.get("Target ID") or props.get("Message ID") or props.get("message_id"))
    session, trace = id_text(props.get("Session ID")), id_text(props.get("Trace ID"))
    if target and props.get("Target Type") != "session":
        return {"response_id": f"amplitude:{target}", "group": target}  # it may be a session's
    group = target or trace or session
    if group is None:
        raise InvalidRecord("names no message and no session: send its Target ID")
    return {"group": group}


def event_rows(event: Mapping[str, Any], mapping: UserMapping) -> Iterator[Row]:
    """Yield the signal of an event of the application, if its name is mapped.

    Parameters
    ----------
    event : mapping
        An event, its properties without the prefix.
    mapping : UserMapping
        Channels of scores and events by name.

    Yields
    ------
    Row
        An event, or a Skip.

    """
    props, name = event["event_properties"], str(event["event_type"])
    if name not in mapping.signals and not FEEDBACK.search(name):
        is_agent = name.startswith(PREFIX)
        yield Skip(
            f"an event {name!r} is not read" if is_agent else "an event that is not of an agent"
        )
        return
    channel = mapped_channel(name, mapping)
    if channel is None:
        yield Skip(f"the event {name!r} looks like feedback and is not mapped")
        return
    stated = next((props[key] for key in VALUES if props.get(key) is not None), None)
    if stated is None and channel in {THUMBS, "rating"}:
        raise InvalidRecord(f"the event {name!r} has no value: map it as thumbs_up or thumbs_down")
    fields = {**_target(props), **_by(event), "source": "user"}
    fields["key"] = f"{name}/{fields['actor_id']}"
    yield signal_event(channel, 1 if stated is None else stated, **fields)


def insert_id(event: Mapping[str, Any]) -> str | None:
    """Return the id by which Amplitude knows copies of an event.

    Parameters
    ----------
    event : mapping
        An event, its properties without the prefix.

    Returns
    -------
    str or None
        The id.

    """
    return id_text(event.get("$insert_id") or event.get("insert_id") or event.get("uuid"))
