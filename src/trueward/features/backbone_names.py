"""Parse the name of a backbone: ``SOURCE,option=value,...``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"(.*?)((?:,[a-z_]+=[^,]*)*)", re.DOTALL)
#: Values that an option accepts: one of these words, an integer in a range, or any non-empty word.
Accepted = tuple[str, ...] | range | type[str]


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Split the name of a backbone into its source and its options.

    Parameters
    ----------
    name : str
        ``SOURCE,option=value,...``; a name that exists as a path is a source without options.

    Returns
    -------
    source : str
        Folder, hub name or address.
    options : dict of str to str
        Values by option name.

    Examples
    --------
    >>> split_name("Qwen/Qwen3-0.6B,layer=-4,pooling=mean")
    ('Qwen/Qwen3-0.6B', {'layer': '-4', 'pooling': 'mean'})

    """
    if Path(name).expanduser().exists():
        return name, {}
    match = NAME.fullmatch(name)
    assert match is not None
    source, rest = match.groups()
    words = [word.partition("=") for word in rest.split(",") if word]
    return source, {key: value for key, _, value in words}


def parse_options(
    source: str, words: Mapping[str, str], accepted: Mapping[str, Accepted]
) -> dict[str, Any]:
    """Convert the options of a backbone's name to values.

    Parameters
    ----------
    source : str
        Source of the backbone, for the error message.
    words : mapping of str to str
        Options as written, from `split_name`.
    accepted : mapping of str to Accepted
        Values that each option accepts.

    Returns
    -------
    dict of str to str or int
        Values by option name.

    Raises
    ------
    UsageError
        For an unknown option or a value that is not accepted.

    Examples
    --------
    >>> parse_options("m", {"layer": "-4"}, {"layer": range(-9, 10)})
    {'layer': -4}

    """
    values: dict[str, Any] = {}
    for key, word in words.items():
        if key not in accepted:
            raise UsageError(
                f"{source} takes the options {', '.join(accepted)}, and {key!r} is none of these: "
                "remove it from --backbone"
            )
        values[key] = _value(key, word, accepted[key])
    return values


def _value(key: str, word: str, accepted: Accepted) -> str | int:
    if isinstance(accepted, tuple):
        if word in accepted:
            return word
        raise UsageError(f"{key} should be one of {', '.join(accepted)}, not {word!r}")
    if isinstance(accepted, range):
        if re.fullmatch(r"-?\d{1,9}", word) and int(word) in accepted:
            return int(word)
        raise UsageError(
            f"{key} should be a whole number from {accepted[0]} to {accepted[-1]}, not {word!r}"
        )
    if word:
        return word
    raise UsageError(f"{key}= has no value: give it one or leave the option out")
