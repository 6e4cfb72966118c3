"""The lottery as code to paste: the same outcomes as `ask`, without any package."""

from __future__ import annotations

from importlib.resources import files

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

LANGUAGES = ("py", "ts", "js")


def code(language: str) -> str:
    """Return the lottery in a language.

    Parameters
    ----------
    language : {"py", "ts", "js"}
        Python 3.9 and newer, TypeScript, or JavaScript (an ES module).

    Returns
    -------
    str
        A whole file.

    Raises
    ------
    UsageError
        If there is no such language.

    Examples
    --------
    >>> code("js").count("export const ask")
    1

    """
    if language not in LANGUAGES:
        raise UsageError(f"there is no code in {language!r}: {suggestion(language, LANGUAGES)}")
    return (files(__package__) / f"ask.{language}").read_text("utf-8")
