"""Messages name options as their reader writes them: flags on the command line, arguments in Python."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from .errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Iterator

_reader = {"flags": False}  # of this process, in all of its threads
_VALUE = r"(?:'[^']*'|[^\s,;:()]+(?:\([^\s()]*\))?)"
# mappings and options of methods; several in a row become one argument
_MAPS = re.compile(rf"--map {_VALUE}(?: --map {_VALUE})*")
_OPTION = re.compile(r"-o ([a-z_0-9]+)=([^\s,;:)]*(?:,\d[^\s,;:)]*)?)")
_QUOTED = re.compile(r"`[^`]*`|pip install .*")  # commands of the shell stay as they are
#: Flag -> argument, of flags that take a value.
VALUED = {
    "--as": "benchmark",
    "--backbone": "backbone",
    "--dtype": "dtype",
    "--form": "form",
    "--group": "group",
    "--hash-users": "hash_users",
    "--key": "key",
    "--length": "length",
    "--logged": "logged",
    "--lora": "lora",
    "--members": "members",
    "--micro": "micro",
    "--model": "model",
    "--negative": "negative",
    "--pairs": "pairs",
    "--positive": "positive",
    "--reference": "prompts",
    "--rounding": "rounding",
    "--scale": "scale",
    "--shown": "shown",
    "--steps": "steps",
    "--texts": "prompts",
    "--track": "track",
    "--tune": "how",
    "--unrated": "unrated",
    "--url": "url",
    "--weight": "weights",
}
#: Flag -> argument, of flags that are given or not.
SWITCHES = {
    "--allow-remote-code": "allow_remote_code=True",
    "--by-class": "by_class=True",
    "--distil": "distil=True",
    "--gradient-checkpointing": "gradient_checkpointing=True",
    "--normalize": "normalize=True",
    "--resume": "resume=True",
    "--strict": "strict=True",
}
_FLAG = re.compile(
    rf"({'|'.join(sorted(map(re.escape, VALUED), key=len, reverse=True))})(?![a-z-])"
    r"(?: ('[^']*'|[A-Z][A-Z_]+\b(?:,[a-z]+=[a-z]+)?|[a-z]+[0-9]+\b|lora\b|full\b|\d[\d:.]*\b"
    r"|sentence-transformers\b|classifier\b|http:\S+))?"
)
_SWITCH = re.compile(rf"({'|'.join(map(re.escape, SWITCHES))})(?![a-z-])")


@contextlib.contextmanager
def flags_in_messages(*, flags: bool = True) -> Iterator[None]:
    """Let messages name flags of the command line, as its commands do, or again arguments.

    Parameters
    ----------
    flags : bool, default True
        Whether they name flags.

    """
    before = _reader["flags"]
    _reader["flags"] = flags
    try:
        yield
    finally:
        _reader["flags"] = before


def for_reader(message: str) -> str:
    """Return a message that names flags as its reader writes them.

    Parameters
    ----------
    message : str
        Words with flags of the command line.

    Returns
    -------
    str
        The same words on the command line; in Python with arguments in the place of flags.

    Examples
    --------
    >>> for_reader("name it with --map prompt=question --map response=NAME")
    'name it with mapping={"prompt": "question", "response": "NAME"}'
    >>> for_reader("export with --distil, or fit with -o hidden= and --backbone NAME")
    'export with distil=True, or fit with hidden=() and backbone="NAME"'
    >>> with flags_in_messages():
    ...     for_reader("add --distil")
    'add --distil'

    """
    if _reader["flags"] or "-" not in message:
        return message
    parts, end = [], 0
    for quoted in _QUOTED.finditer(message):
        parts += [_arguments(message[end : quoted.start()]), quoted[0]]
        end = quoted.end()
    return "".join([*parts, _arguments(message[end:])])


def _arguments(text: str) -> str:
    text = _MAPS.sub(lambda m: f"mapping={{{', '.join(_pairs(m[0]))}}}", text)
    text = _OPTION.sub(lambda m: f"{m[1]}={_literal(m[2])}", text)
    text = re.sub(r"-o ([a-z_0-9]+)(?![a-z_0-9=])", r"\1", text)
    text = text.replace("found none: give --gold", "found none: add them by log.with_gold(table)")
    text = re.sub(r"(?:fit )?--gold(?: FILE)?(?![a-z-])", "log.with_gold(table)", text)
    text = _FLAG.sub(lambda m: VALUED[m[1]] + (f"={_literal(m[2])}" if m[2] else ""), text)
    return _SWITCH.sub(lambda m: SWITCHES[m[1]], text)


def _pairs(maps: str) -> Iterator[str]:
    for word in re.findall(rf"--map ({_VALUE})", maps):
        name, _, column = word.strip("'").partition("=")
        yield f'"{name}": "{column}"'


def _literal(word: str) -> str:
    """Return a word of the command line as it is written in Python."""
    word = word.strip("'")
    if not word:
        return "()"
    if re.fullmatch(r"-?[\d.]+", word) or word in {"X", "N"}:
        return word
    if re.fullmatch(r"[\d.]+:[\d.]+", word):
        return f"({word.replace(':', ', ')})"
    return {"true": "True", "false": "False", "none": "None"}.get(word, f'"{word}"')


def _message(error: TruewardError) -> str:
    """Return the message of an error; in Python it names arguments where the command line has flags."""
    return for_reader(ValueError.__str__(error))


# here and not in the class, because the module of the errors is shipped with exports, byte by byte
TruewardError.__str__ = _message  # type: ignore[assignment]
