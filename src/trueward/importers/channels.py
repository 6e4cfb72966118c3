"""The channels: what a signal is called, whether it is explicit, and what it says of a response."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .contract import Bad, Event

if TYPE_CHECKING:
    from .contract import Ask

Kind = Literal["explicit", "implicit"]


@dataclass(frozen=True)
class Channel:
    """A signal: its kind, its polarity by default and what its absence means."""

    kind: Kind
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
    "branch_kept": Channel("implicit", "+", "not branched"),
    "branch_dropped": Channel("implicit", "-", "not branched"),
    "continue": Channel("implicit", "+", "the session ended, or the user went on elsewhere"),
    "repair": Channel(
        "implicit", "-", "the next turn does not correct the answer, or there is none"
    ),
    "stop": Channel("implicit", "-"),
    "escalate": Channel("implicit", "-"),
    "dwell_seconds": Channel("implicit", "none", "not logged"),
}
THUMBS = "thumbs"  # a name maps to this where its value says up or down
GOOD_WORDS = frozenset(
    {"up", "thumbs-up", "thumbs_up", "thumbsup", "like", "good", "positive", "yes", "true"}
)
BAD_WORDS = frozenset(
    {
        "down",
        "thumbs-down",
        "thumbs_down",
        "thumbsdown",
        "dislike",
        "bad",
        "negative",
        "no",
        "false",
    }
)


def number(value: Any, what: str = "value") -> float:
    """Read a number, a boolean or a text that spells one."""
    try:
        read = float(value) if isinstance(value, bool | int | float | str) else math.nan
    except (ValueError, OverflowError):
        read = math.nan
    if not math.isfinite(read):
        raise Bad(f"its {what} should be a finite number, and is {brief(value)}")
    return read


def brief(value: Any) -> str:
    """Show a value on one line, shortened."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def thumb(value: Any) -> str:
    """Tell up from down: 1, true and the like against 0, -1, false and the like."""
    word = str(value).strip().lower()
    if word in GOOD_WORDS:
        return "thumbs_up"
    if word in BAD_WORDS:
        return "thumbs_down"
    try:
        read = float(word)
    except ValueError:
        read = math.nan
    if read not in {1.0, 0.0, -1.0}:
        raise Bad(
            f"a thumb should be 1, 0, -1, true, false or a word for it, and is {brief(value)}"
        )
    return "thumbs_up" if read == 1 else "thumbs_down"


def signal(channel: str, value: Any, **about: Any) -> Event:
    """Give the event of a value in a channel; ``thumbs`` becomes the thumb that was given."""
    if channel == THUMBS:
        return Event(thumb(value), 1.0, **about)
    return Event(channel, number(value), **about)


def channel_of(name: Any, ask: Ask) -> str | None:
    """Give the channel that a name of the source is mapped to."""
    return ask.names.get(name) if isinstance(name, str) else None
