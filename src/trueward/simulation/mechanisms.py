"""The mechanisms of `selection`, `appearance`, `raters`, `asks`, `comparing` and `clicks`, by name.

Every function there that is annotated to return a `Selection` is a mechanism. It takes the rows
(`LogRows`), alpha in (0, 1], the rate in (0, 1] and a random generator; `asked` takes its `AskOptions`, too.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

from . import appearance, asks, clicks, comparing, raters, selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from .selection import Selection

#: Name -> mechanism.
MECHANISMS: dict[str, Callable[..., Selection]] = {
    name: f
    for module in (selection, appearance, raters, asks, comparing, clicks)
    for name, f in vars(module).items()
    if inspect.isfunction(f)
    and not name.startswith("_")
    and f.__module__ == module.__name__
    and f.__annotations__.get("return") == "Selection"
}
#: Names of the mechanisms whose feedback is positive or missing.
CLICKS = tuple(name for name, f in MECHANISMS.items() if f.__module__ == clicks.__name__)


def mechanism_named(name: str) -> str:
    """Return the key of a mechanism.

    Parameters
    ----------
    name : str
        In any case, with hyphens or underscores.

    Returns
    -------
    str
        A key of `MECHANISMS`.

    Raises
    ------
    UsageError
        If there is no such mechanism.

    """
    key = name.strip().lower().replace("-", "_")
    if key not in MECHANISMS:
        raise UsageError(f"there is no mechanism {name!r}: {suggestion(name, MECHANISMS)}")
    return key
