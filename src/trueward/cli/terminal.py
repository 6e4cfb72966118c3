"""What the process around a command sees: signals to stop, and text without control characters."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOPPING = ("SIGTERM", "SIGHUP")  # from docker stop, timeout, and a terminal that closes
WORD, MESSAGE = 300, 3_000  # longest word and message of an error that is printed, in characters
LONG_WORD = re.compile(rf"\S{{{WORD + 50},}}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: the same but for what progress bars write: carriage return, clear the line, up a line, colours
CONTROL_BUT_PROGRESS = re.compile(r"(\x1b\[[0-9;]*[KAm])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


TONE = re.compile(r"^(\s*)(error|warning|next|verdict)(?=:|  )", re.MULTILINE)
TONES = {
    "error": "31",
    "warning": "33",
    "next": "1",
    "verdict": "1",
}  # codes of colours: red, yellow, bold

_said_little: list[bool] = []  # whether --quiet was given to the command that runs


def quiet() -> bool:
    """Return whether the command that runs prints results, warnings and errors only."""
    return bool(_said_little) and _said_little[-1]


class Stopped(KeyboardInterrupt):
    """A signal to stop, which every place that cleans up after Ctrl-C cleans up after, too.

    Parameters
    ----------
    number : int
        The signal.

    Attributes
    ----------
    code : int
        The exit code that says so, 128 + number.

    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def stop_code(interrupt: KeyboardInterrupt) -> int:
    """Return the exit code of a command that was stopped: 130 after Ctrl-C."""
    return interrupt.code if isinstance(interrupt, Stopped) else 130


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Stopped`, unless they are ignored (nohup) or handled already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: Any) -> None:
        raise Stopped(number)

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    ours = [n for n in numbers if signal.getsignal(n) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """Turn Ctrl-C and signals to stop into a sentence and an exit code, before click words it its own way."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as e:
            with undisturbed():
                kept = what_is_kept(e) or "nothing half-written is left behind"
                typer.echo(f"stopped; {kept}", err=True)
            raise typer.Exit(stop_code(e)) from None

    return run


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore a second Ctrl-C while the first is answered."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


def what_is_kept(interrupt: BaseException | None) -> str:
    """Return the message of an interrupt, or of the one that it has interrupted: a second Ctrl-C has none."""
    while interrupt is not None:
        if isinstance(interrupt, KeyboardInterrupt) and str(interrupt):
            return str(interrupt)
        interrupt = interrupt.__context__
    return ""


def shortened(message: str) -> str:
    """Return a message whose longest words are cut: a value of a file may be as long as the file."""
    cut = LONG_WORD.sub(lambda m: f"{m[0][:WORD]}... ({len(m[0]):,} characters)", message)
    return cut if len(cut) <= MESSAGE else f"{cut[:MESSAGE]}... ({len(cut):,} characters)"


class EscapedStream:
    r"""A text stream that writes control characters as ``\x1b``, so that no text moves the cursor.

    Parameters
    ----------
    stream : TextIO
        Where the text goes.
    pattern : re.Pattern
        What to escape; a match with a group is left as it is.
    colour : bool, default False
        Colour the words error, warning, next and verdict where they begin a line.

    """

    def __init__(self, stream: TextIO, pattern: re.Pattern[str], *, colour: bool = False) -> None:
        self._stream, self._pattern, self._colour = stream, pattern, colour

    def write(self, text: str) -> int:
        """Write a text with its control characters escaped."""
        escaped = self._pattern.sub(_escaped, text)
        self._stream.write(TONE.sub(_coloured, escaped) if self._colour else escaped)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match.lastindex else f"\\x{ord(match[0]):02x}"


def _coloured(match: re.Match[str]) -> str:
    return f"{match[1]}\x1b[{TONES[match[2]]}m{match[2]}\x1b[0m"


@contextlib.contextmanager
def escaped_output(*, colour: bool = True, say_little: bool = False) -> Iterator[None]:
    """Escape control characters in all that is printed; standard error keeps its progress bars.

    Parameters
    ----------
    colour : bool, default True
        Use colours on a terminal, unless NO_COLOR is set or the terminal is dumb.
    say_little : bool, default False
        Print no progress.

    """
    colour = colour and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    _said_little.append(say_little)
    try:
        with Path(os.devnull).open("w") as nowhere:
            out, err = (
                EscapedStream(stream, pattern, colour=colour and stream.isatty())
                for stream, pattern in (  # None where the shell has closed it
                    (sys.stdout or nowhere, CONTROL),
                    (sys.stderr or nowhere, CONTROL_BUT_PROGRESS),
                )
            )
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                yield
    finally:
        _said_little.pop()
