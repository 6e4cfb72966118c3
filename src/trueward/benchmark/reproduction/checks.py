"""Which sets an experiment reads, and whether all that it needs is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trueward.benchmark.answers import Location
from trueward.benchmark.sets import SETS, read_set
from trueward.benchmark.validation import one_of
from trueward.core.errors import TruewardError, UsageError

from .data_sources import SOURCES, Found, check_backbone, check_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .experiments import Settings


def sets_of(given: Sequence[str]) -> dict[str, str]:
    """Read the sets that a user names; all three without any.

    Parameters
    ----------
    given : sequence of str
        ``SET``, or ``SET=OTHER`` to read another set of the benchmark in its place.

    Returns
    -------
    dict of str to str
        Set of the paper -> set that is read.

    Raises
    ------
    UsageError
        If a name is unknown, or a set is named twice.

    Examples
    --------
    >>> sets_of(["helpsteer", "ultrafeedback=arena"])
    {'helpsteer': 'helpsteer', 'ultrafeedback': 'arena'}

    """
    if not given:
        return {name: name for name in SOURCES}
    found: dict[str, str] = {}
    allowed = [name for name, info in SETS.items() if not info.logged and not info.needs_path]
    for word in given:
        name, equals, other = (part.strip() for part in word.partition("="))
        one_of(name, SOURCES, "set of the papers")
        if name in found:
            raise UsageError(f"--set {name} was given twice; give each set once")
        found[name] = one_of(other, allowed, "set of the benchmark") if equals else name
    return found


def check(settings: Settings, data: str | Path | None) -> list[Found]:
    """Look for all that an experiment needs, before any work.

    Parameters
    ----------
    settings : Settings
        Choices of the user.
    data : str, Path or None
        Folder of the sets. None: ``data``.

    Returns
    -------
    list of Found
        One for each set, and one for the backbone.

    """
    folder = Path("data" if data is None else data)
    found = [
        check_source(SOURCES[name], folder / name)
        if read == name
        else _substitute(name, read, folder)
        for name, read in settings.sets.items()
    ]
    return [*found, check_backbone(settings.backbone)]


def _substitute(name: str, read: str, folder: Path) -> Found:
    """Read a set that stands in for one of the paper's."""
    positive = next(iter(SETS[read].positive), None)
    try:
        answers = read_set(read, Location(None, folder, positive=positive))
    except TruewardError as e:
        return Found(name, f"the set {read} in place of {name}: {e}", "", "", complete=False)
    rows = f"{len(answers.frame):,} rows"
    note = f"{read} in place of {name}, {rows}: its figures are not comparable"
    return Found(name, None, "", note, complete=False)


def require(found: Sequence[Found]) -> None:
    """Raise if something is missing.

    Parameters
    ----------
    found : sequence of Found
        Result of `check`.

    Raises
    ------
    TruewardError
        With one line for each missing thing: what to fetch, and where to put it.

    """
    lacking = [f for f in found if f.problem]
    if lacking:
        lines = [f"- {f.name}: {f.problem}{f.remedy and f'; {f.remedy}'}" for f in lacking]
        raise TruewardError("\n".join(["the experiment needs what is not there:", *lines]))
