"""Which methods a log supports, with which option, and what is missing for the others."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.options import format_value, options
from trueward.estimation.requirements import lacking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.data.capabilities import LogCapabilities
    from trueward.estimation.method import Method


@dataclass(frozen=True)
class Choice:
    """One value of the option that decides whether a method can be fitted."""

    #: The option as written after ``-o``, such as ``identify=scar``.
    option: str
    #: What this choice needs and the log does not have; None where nothing is missing.
    missing: str | None
    #: Whether the fit identifies only an interval of P(preferred).
    interval_only: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the choice as plain data."""
        return {
            "option": self.option,
            "missing": self.missing,
            "interval_only": self.interval_only,
        }


@dataclass(frozen=True)
class Verdicts:
    """Methods by whether a log supports them."""

    #: Methods that can be fitted, in alphabetical order.
    supported: tuple[str, ...]
    #: Methods that cannot be fitted, each with the one requirement that is missing.
    unsupported: Mapping[str, str]
    #: Supported methods for which the value of an option decides, with its values.
    options: Mapping[str, tuple[Choice, ...]]
    #: Methods that need true labels on every row.
    benchmark_only: tuple[str, ...]


def verdicts(capabilities: LogCapabilities) -> Verdicts:
    """Check the requirements of every method, in every variant that it declares.

    Parameters
    ----------
    capabilities : LogCapabilities
        What the log has.

    Returns
    -------
    Verdicts
        The supported and the unsupported methods.

    """
    from trueward.estimators._registry import methods  # noqa: PLC0415 - loads torch

    supported, unsupported, benchmark_only = [], {}, []
    choices: dict[str, tuple[Choice, ...]] = {}
    for name, cls in methods().items():
        if cls.takes_truth:
            benchmark_only.append(name)
            continue
        variants = [cls(**chosen) for chosen in cls.variants]
        missing = [lacking(variant, capabilities) for variant in variants]
        by_default = _missing_by_default(cls, capabilities)
        if None not in (*missing, by_default):
            unsupported[name] = str(by_default)
            continue
        supported.append(name)
        if None not in missing:  # variants name columns that this log may name differently
            continue
        if own := _choices(cls, variants, missing):
            choices[name] = own
    return Verdicts(tuple(supported), unsupported, choices, tuple(benchmark_only))


def selected_by_auto(capabilities: LogCapabilities) -> str | None:
    """Return the method that `auto` selects and why, as sentences; None where the log does not support it.

    Parameters
    ----------
    capabilities : LogCapabilities
        What the log has.

    Returns
    -------
    str or None
        The text of `auto`'s choice after the word "Selected".

    """
    from trueward.estimators.auto import Auto, choice  # noqa: PLC0415 - loads torch

    if lacking(Auto(), capabilities) is not None:
        return None
    return choice(capabilities).takes.removeprefix("Selected: ")


def _missing_by_default(cls: type[Method], capabilities: LogCapabilities) -> str | None:
    """What the method lacks with default options, or in its first variant if it must have some."""
    try:
        method = cls()
    except (UsageError, TypeError):
        method = cls(**cls.variants[0])
    return lacking(method, capabilities)


def _choices(
    cls: type[Method], variants: list[Method], missing: list[str | None]
) -> tuple[Choice, ...]:
    """One entry for each value of the deciding option; none where no option decides."""
    key = _deciding_option(cls, variants, missing)
    if key is None and len(set(missing)) == 1:
        return ()
    choices: dict[Any, Choice] = {}
    for given, variant, lack in zip(cls.variants, variants, missing, strict=True):
        value = len(choices) if key is None else getattr(variant, key)
        if value not in choices:
            option = _option_text(cls, key, value, given)
            choices[value] = Choice(option, lack, variant.interval_only)
    return tuple(choices.values())


def _deciding_option(
    cls: type[Method], variants: list[Method], missing: list[str | None]
) -> str | None:
    """Name the first option whose value alone determines what is missing, or that has no default."""
    for name, option in options(cls).items():
        values = {(repr(getattr(m, name)), lack) for m, lack in zip(variants, missing, strict=True)}
        distinct = len({value for value, _ in values})
        alone = len(values) == distinct and distinct > 1
        if alone and (len(set(missing)) > 1 or option.default is MISSING):
            return name
    return None


def _option_text(cls: type[Method], key: str | None, value: Any, given: Mapping[str, Any]) -> str:
    """Write the option as a user would, with the other options of its variant where it needs them."""
    if key is not None:
        try:
            cls(**{key: value})
        except (UsageError, TypeError):
            return _assignments(given)
        return _assignments({key: value})
    return _assignments(given) or "as it is"


def _assignments(given: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={format_value(v)}" for k, v in given.items())
