"""Every mechanism by its name: a function of `selection` or `clicks` that gives a Selection.

Nothing is registered: writing the function is enough.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion

from . import clicks, selection

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from .selection import Rated, Selection

MECHANISMS: dict[str, Callable[[Rated, float, float, np.random.Generator], Selection]] = {
    name: f
    for module in (selection, clicks)
    for name, f in vars(module).items()
    if inspect.isfunction(f)
    and f.__module__ == module.__name__
    and f.__annotations__.get("return") == "Selection"
}
CLICKS = tuple(name for name, f in MECHANISMS.items() if f.__module__ == clicks.__name__)


def mechanism_named(name: str) -> str:
    """Give the key of ``name`` in MECHANISMS; hyphens and underscores are the same."""
    key = name.strip().lower().replace("-", "_")
    if key not in MECHANISMS:
        raise UsageError(f"there is no mechanism {name!r}: {suggestion(name, MECHANISMS)}")
    return key
