"""Channels of feedback: kind and polarity of each signal, and the events that signals become."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trueward.data.feedback_words import FeedbackWords, number_of, spelled

from .contract import Event, InvalidRecord, Reject, Skip

if TYPE_CHECKING:
    from .contract import Row, UserMapping


@dataclass(frozen=True)
class Channel:
    """One channel of feedback.

    Attributes
    ----------
    kind : {"explicit", "implicit"}
        Whether users state it (a rating) or do it (a copy).
    polarity : {"+", "-", "graded", "relative", "none"}
        Whether the signal is good or bad for the response, or by its value.
    absence : str
        Meaning of a response without the signal.

    """

    kind: Literal["explicit", "implicit"]
    polarity: Literal["+", "-", "graded", "relative", "none"]
    absence: str = "unknown"


CHANNELS: dict[str, Channel] = {
    "thumbs_up": Channel("explicit", "+", "not rated"),
    "thumbs_down": Channel("explicit", "-", "not rated"),
    "rating": Channel("explicit", "graded", "not rated"),
    "preferred": Channel("explicit", "relative", "not compared"),
    "flag": Channel("explicit", "-", "not flagged"),
    "correction": Channel("explicit", "-", "not corrected"),
    "comment": Channel("explicit", "none", "no comment"),
    "copy": Channel("implicit", "+"),
    "share": Channel("implicit", "+"),
    "download": Channel("implicit", "+"),
    "save": Channel("implicit", "+"),
    "insert": Channel("implicit", "+"),
    "click": Channel("implicit", "+"),
    "regenerate": Channel("implicit", "-"),
    "edit": Channel("implicit", "-"),
    "prompt_edit": Channel("implicit", "-"),
    "branch_kept": Channel("implicit", "+", "there is no other answer to choose"),
    "branch_dropped": Channel("implicit", "-", "there is no other answer to choose"),
    "continue": Channel("implicit", "+", "there is no other answer, or no turn below any of them"),
    "repair": Channel(
        "implicit", "-", "the next turn does not correct the answer, or there is no next turn"
    ),
    "stop": Channel("implicit", "-"),
    "escalate": Channel("implicit", "-"),
    "dwell_seconds": Channel("implicit", "none", "not logged"),
    # whether a lottery or a survey asked for feedback, whether it was on the screen, and how strongly
    "asked": Channel("implicit", "none", "not logged"),
    "seen": Channel("implicit", "none", "not logged"),
    "ask_level": Channel("implicit", "none", "not logged"),
    "p_ask": Channel("implicit", "none", "not in the lottery"),
    # 1 / P(drawn to be labelled), which travels with the task of a labelling tool
    "gold_weight": Channel("implicit", "none", "not drawn by its chance"),
}
#: Names of scores and attributes that trueward defines, the same in every product: the outcome of a lottery
#: of asks, and the weight of a gold label.
LOTTERY_NAMES = {
    f"trueward.{name}": name for name in ("asked", "seen", "ask_level", "p_ask", "gold_weight")
}
#: A name that is mapped to this becomes thumbs_up or thumbs_down by its value.
THUMBS = "thumbs"
NO_FEEDBACK = "a thumb whose value means no feedback"  # why it is skipped
THUMB_CHANNELS = {"good": "thumbs_up", "bad": "thumbs_down"}


def finite_number(value: Any, name: str = "value") -> float:
    """Return a number, a boolean or text that spells a number as a float.

    Parameters
    ----------
    value : object
        The value in the record.
    name : str
        Its name in the error.

    Returns
    -------
    float
        A finite number.

    Raises
    ------
    InvalidRecord
        If the value is anything else.

    """
    try:
        result = float(value) if isinstance(value, bool | int | float | str) else math.nan
    except (ValueError, OverflowError):
        result = math.nan
    if not math.isfinite(result):
        raise InvalidRecord(f"its {name} should be a finite number, and is {shortened(value)}")
    return result


def shortened(value: Any) -> str:
    """Return a value on one line, with at most 40 characters.

    Parameters
    ----------
    value : object
        Any value of a record.

    Returns
    -------
    str
        Its ``repr`` on one line, cut with three dots.

    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def thumb_channel(value: Any) -> str:
    """Return ``thumbs_up`` or ``thumbs_down`` for a value that the vocabulary of feedback knows.

    Parameters
    ----------
    value : object
        The thumb as the product writes it: a word, an emoji, a boolean, or 1, 0 and -1.

    Returns
    -------
    str
        The channel.

    Raises
    ------
    InvalidRecord
        If the value is neither up nor down.

    """
    meaning = FeedbackWords().meaning(value)
    if meaning not in THUMB_CHANNELS:
        raise InvalidRecord(
            f"a thumb should be 1, 0, -1, true, false or a word such as like, and is {shortened(value)}"
        )
    return THUMB_CHANNELS[meaning]


def resolve_thumb(event: Event, mapping: UserMapping) -> Row:
    """Return the event of a thumb under the meaning that the user or the vocabulary gives its value.

    Parameters
    ----------
    event : Event
        Any event; one without ``word`` is returned unchanged.
    mapping : UserMapping
        The user's words; the value is counted in ``words_seen``.

    Returns
    -------
    Row
        The event with its channel; a Skip for a value that means no feedback, a Reject for an unknown one.

    """
    if event.word is None:
        return event
    mapping.words_seen[event.word] += 1
    meaning = mapping.words.meaning(event.word)
    if meaning == "none":
        return Skip(NO_FEEDBACK)
    if meaning is None:
        return Reject(
            f"the value {event.word!r} of a thumb has no known meaning: give it by --positive, --negative or "
            "--unrated, or map the signal as a rating (--map rating=NAME --scale 1:5)",
            event.place,
        )
    event.channel = THUMB_CHANNELS[meaning]
    return event


def signal_event(channel: str, value: Any, **fields: Any) -> Event:
    """Return the event of a signal.

    Parameters
    ----------
    channel : str
        A channel; ``thumbs`` becomes ``thumbs_up`` or ``thumbs_down`` by the value, here or, if the user gave
        the value a meaning, in `resolve_thumb`.
    value : object
        The value as the product writes it.
    **fields
        Further fields of `Event`.

    Returns
    -------
    Event
        The event, with a finite value.

    """
    if channel == THUMBS:
        if isinstance(value, dict | list):
            raise InvalidRecord(f"a thumb should be a word or a number, and is {shortened(value)}")
        word = spelled(value)
        meaning = FeedbackWords().meaning(word)
        return Event(THUMB_CHANNELS.get(meaning or "none", THUMBS), 1.0, **fields, word=word)
    if channel == "rating" and isinstance(value, str):
        number = number_of(spelled(value))  # 4/5, 4 stars or the signs themselves
        value = value if number is None else number
    return Event(channel, finite_number(value), **fields)


def mapped_channel(name: Any, mapping: UserMapping) -> str | None:
    """Return the channel of a signal name; None if it is not mapped.

    Parameters
    ----------
    name : object
        Name of a signal in the export; anything but text is not mapped.
    mapping : UserMapping
        The names of the import.

    Returns
    -------
    str or None
        The channel, or ``thumbs``.

    """
    if not isinstance(name, str):
        return None
    mapping.names_seen[name] += 1
    return mapping.signals.get(name)
