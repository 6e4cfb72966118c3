"""Entries of a benchmark's YAML: sets, methods, and the budget of all methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import options
from trueward.estimators._registry import methods
from trueward.fitting.fit import configure
from trueward.training.config import Train

from .search import Space, read_space
from .sets import SETS
from .validation import as_list, known_keys, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ORACLE, CLEAN, NAIVE = "oracle", "clean-mcar", "naive"
#: Reference methods: they are in every benchmark.
BRACKETS = (ORACLE, CLEAN, NAIVE)
#: Nuisances of the simulation that an entry can use; its label then says "known nuisances".
KNOWN = ("propensity", "rho_01", "rho_10", "prior")


@dataclass(frozen=True)
class SetEntry:
    """A set of rated answers, or a log with randomised truth.

    Attributes
    ----------
    name : str
        A key of `SETS`.
    label : str
        Name in the table.
    path : str or None
        Folder or file. None: the folder of that name under --data.
    rows : int or None
        Largest number of rows; whole prompts are drawn at random. None: all.
    threshold : float or None
        r* = rating > threshold. None: the threshold of the set.
    positive : str or None
        Which end of the scale is good, for sets with a choice.

    """

    name: str
    label: str
    path: str | None = None
    rows: int | None = None
    threshold: float | None = None
    positive: str | None = None

    @property
    def logged(self) -> bool:
        """Whether the set has its own feedback and is not simulated."""
        return SETS[self.name].logged


@dataclass(frozen=True)
class MethodEntry:
    """A method and its options.

    Attributes
    ----------
    name : str
        Name of a method, or ``clean-mcar``.
    label : str
        Name in the table.
    options : mapping
        Options of the method.
    known : tuple of str
        Nuisances that are set to the true values of the simulation, from `KNOWN`.
    space : mapping
        Options that the random search draws.

    """

    name: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    space: Space = field(default_factory=dict)

    @property
    def method(self) -> str:
        """Name of the method that is fitted; clean-mcar is the oracle on fewer rows."""
        return ORACLE if self.name == CLEAN else self.name


def set_entry(read: Any) -> SetEntry:
    """Read a set.

    Parameters
    ----------
    read : object
        Value of the YAML: a name, or a mapping with the fields of `SetEntry`.

    Returns
    -------
    SetEntry

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    given = {"name": read} if isinstance(read, str) else read
    known_keys(given, SetEntry.__dataclass_fields__, "a set")
    name = one_of(given.get("name"), SETS, "set")
    label = str(given.get("label", name))
    rows, threshold = given.get("rows"), given.get("threshold")
    if rows is not None and not (type(rows) is int and rows >= 50):
        raise UsageError(f"set {label}: rows must be a whole number of at least 50, found {rows!r}")
    choice, positive = SETS[name].positive, given.get("positive")
    if positive is not None and positive not in choice:
        if not choice:
            raise UsageError(f"set {label} has no choice of positive; remove positive: {positive}")
        raise UsageError(f"set {label}: positive must be {' or '.join(choice)}, found {positive!r}")
    path = given.get("path")
    return SetEntry(
        name=name,
        label=label,
        path=None if path is None else str(path),
        rows=rows,
        threshold=None if threshold is None else number(threshold, f"set {label}: threshold"),
        positive=positive or (choice[0] if choice else None),
    )


def method_entries(read: Any, train: Mapping[str, Any]) -> list[MethodEntry]:
    """Read the methods and add the reference methods.

    Parameters
    ----------
    read : object
        Value of the YAML: a list of names and mappings; ``all`` stands for all methods.
    train : mapping
        Training options of every method.

    Returns
    -------
    list of MethodEntry
        The reference methods first.

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    given = as_list(read)
    named = [_method(m, train) for m in given if m != "all"]
    added = [MethodEntry(b, b) for b in BRACKETS if all(m.label != b for m in named)]
    if "all" in given:
        names = {m.name for m in named}
        added += [
            MethodEntry(name, name)
            for name in methods()
            if name not in BRACKETS and not (name in names and _incomplete(name))
        ]
    entries = [m for m in added if all(m.label != n.label for n in named)] + named
    order = {b: k for k, b in enumerate(BRACKETS)}
    return sorted(entries, key=lambda m: order.get(m.label, len(order)))


def _incomplete(name: str) -> bool:
    """Return whether a method has an option without a default."""
    try:
        configure(name, {})
    except UsageError:
        return True
    return False


def _method(read: Any, train: Mapping[str, Any]) -> MethodEntry:
    given = {"name": read} if isinstance(read, str) else read
    known_keys(given, MethodEntry.__dataclass_fields__, "a method")
    name = one_of(given.get("name"), (*methods(), CLEAN), "method")
    values, known = given.get("options") or {}, tuple(as_list(given.get("known") or []))
    if not isinstance(values, dict):
        raise UsageError(f"method {name}: options must be a mapping, found {values!r}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for k in known:
        one_of(k, KNOWN, "known nuisance")
    words = [f"{k}={_plain(v)}" for k, v in values.items()]
    label = str(given.get("label") or " ".join([name, *words]))
    if known:
        label += " (known nuisances)"
    if label in BRACKETS and label != name:
        raise UsageError(
            f"the label {label} is reserved for the method {label}; give {name} another label"
        )
    space = read_space(given.get("space") or {}, name)
    entry = MethodEntry(name, label, values, known, space)
    _check_method(entry, train)
    return entry


def _check_method(entry: MethodEntry, train: Mapping[str, Any]) -> None:
    """Configure the method with its options and with both ends of its search space."""
    own = {**entry.options, **{k: 0.1 for k in entry.known if k != "propensity"}}
    names = set(own) | set(entry.space)
    if "seed" in names:
        raise UsageError(f"method {entry.label}: the benchmark sets the seed; remove it")
    for end in (0.0, 1.0):
        drawn = {k: draw.at(end) for k, draw in entry.space.items()}
        configure(entry.method, {**train, **own, **drawn})


def budget(read: Any) -> tuple[int, dict[str, Any]]:
    """Read the budget of every method.

    Parameters
    ----------
    read : mapping or None
        ``trials`` and options of `Train`.

    Returns
    -------
    trials : int
        Trials of the random search.
    train : dict
        Training options.

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    if read is not None and not isinstance(read, dict):
        raise UsageError(f"budget must be a mapping, such as {{epochs: 5}}, found {read!r}")
    given = dict(read or {})
    trials = given.pop("trials", 1)
    if type(trials) is not int or trials < 1:
        raise UsageError(f"budget: trials must be a whole number of at least 1, found {trials!r}")
    known_keys(given, {"trials", *options(Train)} - {"seed"}, "budget")
    train = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    try:
        configure(NAIVE, train)
    except TruewardError as e:
        raise UsageError(f"budget: {e}") from e
    return trials, train


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
