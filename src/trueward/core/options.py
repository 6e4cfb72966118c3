"""Options as dataclass fields: annotations carry range and meaning for one parser and one check."""

from __future__ import annotations

import dataclasses
import math
import types
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import UsageError
from .suggest import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    tuple[int, ...]: "whole numbers such as 256,64",
    tuple[float, ...]: "numbers such as 0.1,0.02",
    tuple[str, ...]: "names such as copy,like",
}


@dataclass(frozen=True)
class Opt:
    """Help text and range of an option, for use in ``Annotated``.

    Attributes
    ----------
    help : str
        What the option does, with its unit.
    low, high : float
        Ends of the range; infinite by default.
    open_low, open_high : bool
        Whether the end itself is excluded; both ends are included by default.

    Examples
    --------
    >>> @dataclass
    ... class Config:
    ...     rate: Annotated[float, Opt("learning rate", 0, open_low=True)] = 0.1
    >>> options(Config)["rate"].accepts
    'a number in (0, ∞)'

    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def admits(self, value: float) -> bool:
        """Return whether a number lies in the range; NaN never does."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def range(self) -> str:
        """Return the range in interval notation, empty if there is none."""
        if self.low == -math.inf and self.high == math.inf:
            return ""
        low, high = (
            ("-∞" if self.low == -math.inf else f"{self.low:g}"),
            ("∞" if self.high == math.inf else f"{self.high:g}"),
        )
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        return f"{left}{low}, {high}{right}"


@dataclass(frozen=True)
class Option:
    """One option of a dataclass as a user sees it.

    Attributes
    ----------
    name : str
        Name of the field.
    kinds : tuple
        Types and literal values that the option accepts.
    default : object
        Default value; `dataclasses.MISSING` if the option must be given.
    opt : Opt
        Help text and range.

    """

    name: str
    kinds: tuple[Any, ...]
    default: Any
    opt: Opt = field(default_factory=lambda: Opt(""))

    @property
    def accepts(self) -> str:
        """The accepted types and range in words."""
        parts = [TYPE_WORDS.get(k, "none" if k is type(None) else str(k)) for k in self.kinds]
        joined = ", ".join(parts[:-1]) + " or " + parts[-1] if len(parts) > 1 else parts[0]
        return f"{joined} in {self.opt.range()}" if self.opt.range() else joined

    def parse(self, text: str, owner: str) -> Any:
        """Convert text from a command line or a file to a value of the option.

        Parameters
        ----------
        text : str
            The text; ``none``, ``true`` and ``false`` in any case, tuples separated by commas. Nothing,
            ``()`` and ``none`` are the empty tuple.
        owner : str
            Name of what has the option; begins the error.

        Returns
        -------
        object
            The value; its range is not checked here.

        Raises
        ------
        UsageError
            If no accepted type can be read from the text.

        Examples
        --------
        >>> Option("hidden", (tuple[int, ...], type(None)), None).parse("256,64", "fit")
        (256, 64)

        """
        lowered = text.strip().lower()
        for kind in self.kinds:
            if kind is type(None) and lowered in {"none", "null"}:
                return None
            if kind is bool and lowered in {"true", "false"}:
                return lowered == "true"
            if isinstance(kind, str) and text == kind:
                return kind
            if kind in (int, float):
                try:
                    return kind(text)
                except ValueError:
                    continue
            if get_origin(kind) is tuple:
                of = get_args(kind)[0]
                words = text.strip().removeprefix("(").removesuffix(")").replace(",", " ").split()
                try:
                    return () if lowered == "none" and of is not str else tuple(map(of, words))
                except ValueError:
                    continue
            if kind is str and text:
                return text
        raise UsageError(f"{owner}: option {self.name} takes {self.accepts}, not {text!r}")

    def check(self, value: Any, owner: str) -> None:
        """Raise if a value has the wrong type or lies outside the range.

        Parameters
        ----------
        value : object
            The value of the option; each element of a tuple is checked.
        owner : str
            Name of what has the option; begins the error.

        Raises
        ------
        UsageError
            If the value is not accepted.

        """
        literal = any(isinstance(k, str) and value == k for k in self.kinds)
        values = value if isinstance(value, tuple) else (value,)
        kinds = [
            get_args(k)[0] if get_origin(k) is tuple else k
            for k in self.kinds
            if (get_origin(k) is tuple) == isinstance(value, tuple)
        ]
        typed = any(all(_has_type(v, k) for v in values) for k in kinds)
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if not (literal or typed) or not all(map(self.opt.admits, numbers)):
            raise UsageError(f"{owner}: option {self.name} takes {self.accepts}, not {value!r}")


def _has_type(value: Any, kind: Any) -> bool:
    """Whether a value has a type; an int also counts as a float, a bool as neither."""
    wide = (int, float) if kind is float else kind
    return (
        isinstance(kind, type)
        and isinstance(value, wide)
        and (kind is bool or not isinstance(value, bool))
    )


def format_value(value: Any) -> str:
    """Return a value as a user would write it after ``-o name=``.

    Parameters
    ----------
    value : object
        The value of an option.

    Returns
    -------
    str
        The text that `Option.parse` reads back as the value.

    Examples
    --------
    >>> format_value((256, 64)), format_value(None), format_value(True)
    ('256,64', 'none', 'true')

    """
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    words = {None: "none", True: "true", False: "false"}
    return words[value] if isinstance(value, bool | None) else str(value)


def options(cls: type) -> dict[str, Option]:
    """Return the options of a dataclass, in the order of its fields.

    Parameters
    ----------
    cls : type
        A dataclass whose fields may be annotated with `Opt`.

    Returns
    -------
    dict of str to Option
        Each option by the name of its field.

    """
    return {option.name: option for option in _options(cls)}


@cache  # every instance of a method is checked, and its class does not change
def _options(cls: type) -> tuple[Option, ...]:
    hints, found = get_type_hints(cls, include_extras=True), []
    for f in dataclasses.fields(cls):
        hint, opt = hints[f.name], Opt("")
        if get_origin(hint) is Annotated:
            hint, *extra = get_args(hint)
            opt = next((e for e in extra if isinstance(e, Opt)), opt)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        found.append(Option(f.name, _kinds(hint), default, opt))
    return tuple(found)


def _kinds(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(k for part in get_args(hint) for k in _kinds(part))
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (hint if get_origin(hint) is tuple else get_origin(hint) or hint,)


def check_values(owner: Any, name: str) -> None:
    """Raise if a field of a dataclass instance has the wrong type or is out of range.

    Parameters
    ----------
    owner : object
        The instance.
    name : str
        Its name in the error.

    Raises
    ------
    UsageError
        About the first field that is wrong.

    """
    for option in options(type(owner)).values():
        option.check(getattr(owner, option.name), name)


def check_names(given: Mapping[str, Any], allowed: Mapping[str, Option], owner: str) -> None:
    """Raise if a name is not the name of an option.

    Parameters
    ----------
    given : mapping
        Options by name, as the user gave them.
    allowed : mapping of str to Option
        The options that exist.
    owner : str
        Name of what has the options; begins the error.

    Raises
    ------
    UsageError
        About the first unknown name, with the nearest option.

    """
    for name in given:
        if name not in allowed:
            raise UsageError(f"{owner} has no option {name!r}: {suggestion(name, allowed)}")
