"""Which methods a log supports, with which option, and the one thing that the others lack."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.options import options, written
from trueward.estimation.requirements import lacking
from trueward.estimators._registry import methods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.data.capabilities import LogCapabilities
    from trueward.estimation.method import Method


@dataclass(frozen=True)
class Choice:
    """One value of the option that decides whether a method can be fitted."""

    option: str  # as written after -o: identify=scar
    missing: str | None  # what it needs and the log lacks
    interval_only: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "option": self.option,
            "missing": self.missing,
            "interval_only": self.interval_only,
        }


@dataclass(frozen=True)
class Verdicts:
    """What a log is good for."""

    supported: tuple[str, ...]
    unsupported: Mapping[str, str]  # name -> the one thing that is missing
    options: Mapping[str, tuple[Choice, ...]]  # methods for which the choice of an option decides
    benchmark_only: tuple[str, ...]  # fitted on the truth, which no log has


def verdicts(facts: LogCapabilities) -> Verdicts:
    """Ask every method that is found, in every variant it declares."""
    supported, unsupported, benchmark_only = [], {}, []
    choices: dict[str, tuple[Choice, ...]] = {}
    for name, cls in methods().items():
        if cls.takes_truth:
            benchmark_only.append(name)
            continue
        made = [cls(**chosen) for chosen in cls.variants]
        missing = [lacking(m, facts) for m in made]
        plain = _as_it_is(cls, facts)
        if None not in (*missing, plain):
            unsupported[name] = str(plain)
            continue
        supported.append(name)
        if None not in missing:  # variants name columns that another log may call otherwise
            continue
        if own := _choices(cls, made, missing):
            choices[name] = own
    return Verdicts(tuple(supported), unsupported, choices, tuple(benchmark_only))


def _as_it_is(cls: type[Method], facts: LogCapabilities) -> str | None:
    """What the method lacks without any option; of one that must have some, in its first variant."""
    try:
        made = cls()
    except (UsageError, TypeError):
        made = cls(**cls.variants[0])
    return lacking(made, facts)


def _choices(
    cls: type[Method], made: list[Method], missing: list[str | None]
) -> tuple[Choice, ...]:
    """One entry for each value of the option that decides; none where no option needs a thought."""
    key = _deciding(cls, made, missing)
    if key is None and len(set(missing)) == 1:
        return ()
    found: dict[Any, Choice] = {}
    for chosen, m, lack in zip(cls.variants, made, missing, strict=True):
        value = len(found) if key is None else getattr(m, key)
        if value not in found:
            found[value] = Choice(_written(cls, key, value, chosen), lack, m.interval_only)
    return tuple(found.values())


def _deciding(cls: type[Method], made: list[Method], missing: list[str | None]) -> str | None:
    """Name the first option whose value alone says what is missing, or that has no default."""
    for name, option in options(cls).items():
        values = {(repr(getattr(m, name)), lack) for m, lack in zip(made, missing, strict=True)}
        distinct = len({value for value, _ in values})
        alone = len(values) == distinct and distinct > 1
        if alone and (len(set(missing)) > 1 or option.default is MISSING):
            return name
    return None


def _written(cls: type[Method], key: str | None, value: Any, chosen: Mapping[str, Any]) -> str:
    """Write the option as a user would; with the others of its variant where it needs them."""
    if key is not None:
        try:
            cls(**{key: value})
        except (UsageError, TypeError):
            return _text(chosen)
        return _text({key: value})
    return _text(chosen) or "as it is"


def _text(chosen: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={written(v)}" for k, v in chosen.items())
