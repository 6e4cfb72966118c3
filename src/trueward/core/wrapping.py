"""Text that fits the terminal: its width, and paragraphs wrapped to it."""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import wrap

WIDEST = 100  # characters of a line, also where there is no terminal
NARROWEST = 40


def text_width() -> int:
    """Return the width of a line: that of COLUMNS or of the terminal, from 40 to 100 characters."""
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() else 0
    if not width and sys.stdout is not None and sys.stdout.isatty():
        width = shutil.get_terminal_size((WIDEST, 24)).columns
    return max(NARROWEST, min(width or WIDEST, WIDEST))


def wrapped(head: str, text: str, further: str | None = None) -> list[str]:
    """Wrap a text beside a head, to the width of the terminal; long words are not broken.

    Parameters
    ----------
    head : str
        Start of the first line.
    text : str
        What follows.
    further : str, optional
        Start of the further lines; by default spaces below the first word of the text.

    Returns
    -------
    list of str
        The lines.

    Examples
    --------
    >>> wrapped("note  ", "one sentence")
    ['note  one sentence']

    """
    below = " " * len(head) if further is None else further
    room = max(NARROWEST // 2, text_width() - max(len(head), len(below)))
    first, *rest = wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [head + first, *(below + line for line in rest)]
