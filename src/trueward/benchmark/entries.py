"""What a benchmark names: sets, methods, and the budget that all methods share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.core.options import options
from trueward.estimators._registry import methods
from trueward.fitting.fit import configure
from trueward.training.config import Train

from .names import known_keys, listed, number, one_of
from .search import Space, read_space
from .sets import SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

ORACLE, CLEAN, NAIVE = "oracle", "clean-mcar", "naive"
BRACKETS = (ORACLE, CLEAN, NAIVE)  # in every table, whatever the config names
KNOWN = (
    "propensity",
    "rho_01",
    "rho_10",
    "prior",
)  # of the simulator, for rows labelled "known nuisances"


@dataclass(frozen=True)
class SetEntry:
    """One set of rated answers, or one log with randomised truth."""

    name: str
    label: str
    path: str | None = None  # folder or file; None: the set's own place under --data
    rows: int | None = None  # at most, whole prompts drawn at random; None: all
    threshold: float | None = None  # r* = rating > threshold; None: the set's own
    positive: str | None = None  # which end of the scale is good, where a set has a choice

    @property
    def logged(self) -> bool:
        """Whether the set has feedback of its own."""
        return SETS[self.name].logged


@dataclass(frozen=True)
class MethodEntry:
    """A method with its options; ``known`` options are filled with the simulator's own values."""

    name: str
    label: str
    options: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    space: Space = field(default_factory=dict)

    @property
    def method(self) -> str:
        """Name of the method that is fitted: clean-mcar is the oracle on fewer rows."""
        return ORACLE if self.name == CLEAN else self.name


def set_entry(read: Any) -> SetEntry:
    """Read a set's name, or name and options."""
    given = {"name": read} if isinstance(read, str) else read
    known_keys(given, SetEntry.__dataclass_fields__, "a set")
    name = one_of(given.get("name"), SETS, "set")
    label = str(given.get("label", name))
    rows, threshold = given.get("rows"), given.get("threshold")
    if rows is not None and not (type(rows) is int and rows >= 50):
        raise UsageError(f"set {label}: rows takes a whole number of at least 50, not {rows!r}")
    choice, positive = SETS[name].positive, given.get("positive")
    if positive is not None and positive not in choice:
        has = f"takes {' or '.join(choice)}" if choice else "has no choice of positive"
        raise UsageError(f"set {label} {has}, not {positive!r}")
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
    """Read the methods; ``all`` is every method that there is, and the brackets are always there."""
    given = listed(read)
    named = [_method(m, train) for m in given if m != "all"]
    found = [MethodEntry(b, b) for b in BRACKETS if all(m.label != b for m in named)]
    if "all" in given:
        have = {m.name for m in named}
        found += [
            MethodEntry(name, name)
            for name in methods()
            if name not in BRACKETS and not (name in have and _incomplete(name))
        ]
    entries = [m for m in found if all(m.label != n.label for n in named)] + named
    order = {b: k for k, b in enumerate(BRACKETS)}
    return sorted(entries, key=lambda m: order.get(m.label, len(order)))


def _incomplete(name: str) -> bool:
    """Say whether a method has an option without a default."""
    try:
        configure(name, {})
    except UsageError:
        return True
    return False


def _method(read: Any, train: Mapping[str, Any]) -> MethodEntry:
    given = {"name": read} if isinstance(read, str) else read
    known_keys(given, MethodEntry.__dataclass_fields__, "a method")
    name = one_of(given.get("name"), (*methods(), CLEAN), "method")
    chosen, known = given.get("options") or {}, tuple(listed(given.get("known") or []))
    if not isinstance(chosen, dict):
        raise UsageError(f"method {name}: options takes name: value pairs, not {chosen!r}")
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}
    for k in known:
        one_of(k, KNOWN, "known nuisance")
    words = [f"{k}={_plain(v)}" for k, v in chosen.items()]
    label = str(given.get("label") or " ".join([name, *words]))
    if known:
        label += " (known nuisances)"
    if label in BRACKETS and label != name:
        raise UsageError(
            f"the label {label} is kept for the method {label}; label {name} otherwise"
        )
    space = read_space(given.get("space") or {}, name)
    entry = MethodEntry(name, label, chosen, known, space)
    _check_method(entry, train)
    return entry


def _check_method(entry: MethodEntry, train: Mapping[str, Any]) -> None:
    """Let the method itself check its options, and both ends of what is searched."""
    own = {**entry.options, **{k: 0.1 for k in entry.known if k != "propensity"}}
    names = set(own) | set(entry.space)
    if "seed" in names:
        raise UsageError(f"method {entry.label}: the benchmark sets the seed; drop it")
    for end in (0.0, 1.0):
        drawn = {k: draw.at(end) for k, draw in entry.space.items()}
        configure(entry.method, {**train, **own, **drawn})


def budget(read: Any) -> tuple[int, dict[str, Any]]:
    """Read the number of trials, and the training options given to every method alike."""
    given = dict(read or {})
    trials = given.pop("trials", 1)
    if type(trials) is not int or trials < 1:
        raise UsageError(f"budget: trials takes a whole number of at least 1, not {trials!r}")
    known_keys(given, {"trials", *options(Train)} - {"seed"}, "budget")
    train = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    try:
        configure(NAIVE, train)
    except TruewardError as e:
        raise UsageError(f"budget: {e}") from e
    return trials, train


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
