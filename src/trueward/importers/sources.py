"""Every source that can be imported: a file of this package is one; nothing needs to be registered."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import pkgutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion

from . import products
from .contract import Record, Source
from .records import records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIRST = 20  # records of a file that are looked at


@cache
def sources() -> Mapping[str, Source]:
    """Every source by the name of its file, in alphabetical order."""
    package = products.__name__
    found: dict[str, Source] = {}
    for module in sorted(pkgutil.iter_modules(products.__path__), key=lambda m: m.name):
        if module.name.startswith("_"):
            continue
        source = vars(importlib.import_module(f"{package}.{module.name}")).get("SOURCE")
        if not isinstance(source, Source):
            raise TypeError(f"importers/products/{module.name}.py must define SOURCE")
        found[module.name] = replace(source, name=module.name)
    return found


def named(name: str) -> Source:
    """Give the source of a name."""
    known = sources()
    if name not in known:
        raise UsageError(f"there is no source {name!r}: {suggestion(name, ['auto', *known])}")
    return known[name]


def sniff(paths: Sequence[Path]) -> Source:
    """Find the one source whose records all files hold, by the keys of the first ones."""
    fits = list(sources().values())
    for path in paths:
        with contextlib.closing(records(path)) as found:
            seen = [r.value for r in itertools.islice(found, FIRST) if isinstance(r, Record)]
        if not seen:
            continue
        fits = [s for s in fits if any(s.shape_of(value) for value in seen)]
        if not fits:
            keys = ", ".join(list(seen[0])[:12])
            raise TruewardError(
                f"{path} should hold records of one source that is known, like the other files, but its "
                f"keys are {keys}: name the source ({', '.join(sources())}), or write the generic tables"
            )
    if len(fits) > 1:
        raise UsageError(
            f"{paths[0]} could be of {' or '.join(s.name for s in fits)}: name the source instead of auto"
        )
    return fits[0]
