"""Rows of sources that record traces: model calls, the spans around them, and parts of a record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from .bodies import OBJECT
from .channels import THUMBS, mapped_channel, signal_event
from .contract import WRONG_TYPE, Event, InvalidRecord, NoAnswer, Reject, Response, Skip
from .messages import answer_text, read_turn
from .values import decode_json, first_value, text_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from .contract import Place, Row, UserMapping

T = TypeVar("T")
FEEDBACK = re.compile(r"(?i)(?<![a-z])(?:feedback|thumbs?|ratings?|votes?)(?![a-z])")
# keys of an object of feedback
LABELS = ("label", "value", "thumb", "thumbs", "vote", "reaction", "type", "sentiment")
SCORES = ("score", "rating", "is_positive", "positive", "liked", "helpful")
MAX_PATHS = 200  # that are kept for an error
MAX_OBJECTS = 3  # objects in objects that are searched
TEXTS = frozenset({"prompt", "response", "session", "user"})  # what a path may be given for


def mapped(record: Mapping[str, Any], mapping: UserMapping, name: str, default: Any) -> Any:
    """Return the value at the paths that the user gave for a text or an id, else the source's own.

    Parameters
    ----------
    record : mapping
        The record that paths start at.
    mapping : UserMapping
        Paths of the import.
    name : str
        One of ``TEXTS``.
    default : object
        The value where the source documents it.

    Returns
    -------
    object
        The value.

    """
    paths = mapping.paths.get(name)
    if not paths:
        return default
    found = first_value(record, paths)
    mapping.paths_seen[name] += found is not None
    if not mapping.paths_seen[name] and len(mapping.record_paths) < MAX_PATHS:
        mapping.record_paths.update(text_paths(record))
    return default if found is None else found


def call_row(asked: Any, answered: Any, **fields: Any) -> Response:
    """Return a model call; one without an answer is only a span, and one without a prompt is invalid.

    Parameters
    ----------
    asked, answered : object
        Input and output, as for `read_turn`.
    **fields
        Further fields of `Response`.

    Returns
    -------
    Response
        Of precedence ``call`` or ``owner``.

    """
    try:
        prompt, answer = read_turn(asked, answered)
    except NoAnswer as e:
        fields["unshown"] = str(e)
        return Response(prompt=[], response="", precedence="owner", **fields)
    except InvalidRecord as e:
        answer = _answer_or_empty(answered)
        fields["invalid"] = str(e)
        precedence = "call" if answer else "owner"
        return Response(prompt=[], response=answer, precedence=precedence, **fields)  # type: ignore[arg-type]
    return Response(prompt=prompt, response=answer, precedence="call", **fields)


def span_row(asked: Any, answered: Any, reason: str, **fields: Any) -> Response:
    """Return a span or a trace around model calls; its output says which of them was shown.

    Parameters
    ----------
    asked, answered : object
        Its input and output; None if it has none.
    reason : str
        Why it is no response, if a call is.
    **fields
        Further fields of `Response`.

    Returns
    -------
    Response
        Of precedence ``fallback`` or ``owner``.

    """
    answer = _answer_or_empty(answered)
    fields["unshown"] = reason
    if not answer or not asked:
        return Response(prompt=[], response=answer, precedence="owner", **fields)
    try:
        prompt = read_turn(asked, answered)[0]
    except InvalidRecord as e:
        fields["invalid"] = str(e)
        return Response(prompt=[], response=answer, precedence="owner", **fields)
    return Response(prompt=prompt, response=answer, precedence="fallback", **fields)


def _answer_or_empty(answered: Any) -> str:
    try:
        answer = answer_text(answered) if answered else ""
    except (NoAnswer, InvalidRecord):
        return ""
    return "" if OBJECT.match(answer) else answer


def stated(channel: str, label: Any, score: Any) -> Any:
    """Return what a signal with a label and a score says; a thumb is the last word, its score may be stale.

    Parameters
    ----------
    channel : str
        The channel that its name is mapped to.
    label, score : object
        Both as the product writes them; None if there is none.

    Returns
    -------
    object
        One of them; None if both are missing.

    """
    if isinstance(label, dict):
        label, inner = _label_and_score(label)
        score = inner if score is None else score
    if channel == THUMBS and isinstance(label, str) and score is not None:
        try:
            is_thumb = signal_event(THUMBS, label, source="user").channel != THUMBS
        except InvalidRecord:
            return score
        return label if is_thumb else score
    return label if score is None else score


def attribute_signals(
    attributes: Any, mapping: UserMapping, what: str, **about: Any
) -> Iterator[Row]:
    """Yield signals that an application wrote beside a call, such as a property ``user_feedback``.

    Parameters
    ----------
    attributes : object
        Names and values, or JSON of them; anything else has no signals.
    mapping : UserMapping
        Channels of names; the part after the last dot may be the name.
    what : str
        What the product calls them, such as ``attribute``.
    **about
        ``response_id`` and ``group`` of the events.

    Yields
    ------
    Row
        An event for each mapped name, or a Skip for a name that looks like feedback and is not mapped.

    """
    is_text = isinstance(attributes, str)  # not decoded unless it may have a signal
    if (
        is_text
        and not FEEDBACK.search(attributes)
        and not any(map(attributes.count, mapping.signals))
    ):
        return
    for name, value in _leaves(decode_json(attributes), mapping):
        if isinstance(value, list):
            yield Skip(f"the {what} {name!r} looks like feedback and is a list, which is not read")
            continue
        known = name if name in mapping.signals else name.rpartition(".")[2]
        channel = mapped_channel(known if known in mapping.signals else name, mapping)
        if channel is not None:
            key = f"{what}/{name}"
            yield signal_event(channel, value, source="user", key=key, **about)
        else:
            yield Skip(f"the {what} {name!r} looks like feedback and is not mapped")


def _label_and_score(value: Mapping[str, Any]) -> tuple[Any, Any]:
    label, score = (
        next((value[k] for k in keys if value.get(k) is not None), None)
        for keys in (LABELS, SCORES)
    )
    return label, score


def keys_beside(record: Mapping[str, Any], known: Container[str] = ()) -> dict[str, Any]:
    """Return the keys of a record that look like feedback, and that its source does not write.

    Parameters
    ----------
    record : mapping
        The record.
    known : container of str
        Keys that the source reads elsewhere.

    Returns
    -------
    dict
        For `attribute_signals`.

    """
    return {k: v for k, v in record.items() if FEEDBACK.search(k) and k not in known}


def _leaves(level: Any, mapping: UserMapping, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of what is mapped or looks like feedback, at most three objects deep."""
    for key, value in level.items() if isinstance(level, dict) else ():
        name = f"{path}{key}"
        is_mapped = name in mapping.signals or str(key).rpartition(".")[2] in mapping.signals
        above = bool(FEEDBACK.search(path)) and str(key).lower() in (*LABELS, *SCORES)
        is_near = is_mapped or above or FEEDBACK.search(str(key)) is not None
        if value is None or value == "":
            continue
        if isinstance(value, dict):
            if is_mapped:
                signal = mapping.signals.get(name) or mapping.signals[str(key).rpartition(".")[2]]
                label, score = _label_and_score(value)
                if label is not None or score is not None:
                    yield name, stated(signal, label, score)
            elif path.count(".") < MAX_OBJECTS:
                yield from _leaves(value, mapping, f"{name}.")
        elif is_near:
            yield name, value


def read_parts(
    parts: Iterable[T],
    read: Callable[[T], Iterable[Row]],
    place: Callable[[T], Place] | None = None,
) -> Iterator[Row]:
    """Yield the rows of the parts of a record; an invalid part rejects only itself.

    Parameters
    ----------
    parts : iterable
        Records inside a record, such as the spans of an envelope, or records that are read together.
    read : callable
        Returns the rows of one part.
    place : callable, optional
        Returns file and line of a part; by default, those of the record.

    Yields
    ------
    Row
        The rows, or a Reject or Skip with the reason.

    """
    for part in parts:
        at = None if place is None else place(part)
        try:
            for row in list(read(part)):
                if isinstance(row, Response | Event):
                    row.place = row.place or at
                yield row
        except NoAnswer as e:
            yield Skip(str(e))
        except (InvalidRecord, *WRONG_TYPE) as e:
            yield Reject(reason_of(e), at)


def reason_of(e: Exception) -> str:
    """Return the reason of a rejection in words.

    Parameters
    ----------
    e : Exception
        An InvalidRecord, or an error of code that met a value of an unexpected type.

    Returns
    -------
    str
        The reason.

    """
    if isinstance(e, InvalidRecord):
        return str(e)
    return f"a value has another type than the product writes ({' '.join(str(e).split())[:100]})"
