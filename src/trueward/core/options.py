"""Hyper-parameters as data: fields carry their range and meaning, so one check and one parser serve all."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from dataclasses import MISSING, dataclass, field
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Opt:
    """What a field means and the closed range [low, high] of its numbers.

    ``open_low`` / ``open_high`` exclude the end point.
    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def admits(self, value: float) -> bool:
        """Say whether a number lies in the range; NaN never does."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def range(self) -> str:
        """The range in interval notation, empty when there is none."""
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
    """One hyper-parameter as a user sees it."""

    name: str
    kinds: tuple[Any, ...]  # types and literal values it accepts
    default: Any  # dataclasses.MISSING when there is none
    opt: Opt = field(default_factory=lambda: Opt(""))

    @property
    def wanted(self) -> str:
        """What may be written, in words."""
        words: dict[Any, str] = {
            float: "a number",
            int: "a whole number",
            bool: "true or false",
            str: "text",
            tuple[int, ...]: "whole numbers such as 256,64",
            tuple[float, ...]: "numbers such as 0.1,0.02",
            tuple[str, ...]: "names such as copy,like",
        }
        parts = [words.get(k, "none" if k is type(None) else str(k)) for k in self.kinds]
        joined = ", ".join(parts[:-1]) + " or " + parts[-1] if len(parts) > 1 else parts[0]
        return f"{joined} in {self.opt.range()}" if self.opt.range() else joined

    def parse(self, text: str, owner: str) -> Any:
        """Read ``text`` from a command line or a file."""
        low = text.strip().lower()
        for kind in self.kinds:
            if kind is type(None) and low in {"none", "null"}:
                return None
            if kind is bool and low in {"true", "false"}:
                return low == "true"
            if isinstance(kind, str) and text == kind:
                return kind
            if kind in (int, float):
                try:
                    return kind(text)
                except ValueError:
                    continue
            if get_origin(kind) is tuple:
                try:
                    return tuple(get_args(kind)[0](w) for w in text.replace(",", " ").split())
                except ValueError:
                    continue
            if kind is str:
                return text
        raise UsageError(f"{owner}: option {self.name} takes {self.wanted}, not {text!r}")

    def check(self, value: Any, owner: str) -> None:
        """Refuse a value of the wrong type or outside the range."""
        literal = any(isinstance(k, str) and value == k for k in self.kinds)
        values = value if isinstance(value, tuple) else (value,)
        kinds = [
            get_args(k)[0] if get_origin(k) is tuple else k
            for k in self.kinds
            if (get_origin(k) is tuple) == isinstance(value, tuple)
        ]
        typed = any(all(_is(v, k) for v in values) for k in kinds)
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if not (literal or typed) or not all(map(self.opt.admits, numbers)):
            raise UsageError(f"{owner}: option {self.name} takes {self.wanted}, not {value!r}")


def _is(value: Any, kind: Any) -> bool:
    """Whether a value has a type; a whole number is a number, and true is neither."""
    wide = (int, float) if kind is float else kind
    return (
        isinstance(kind, type)
        and isinstance(value, wide)
        and (kind is bool or not isinstance(value, bool))
    )


def written(value: Any) -> str:
    """A value as a user would write it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    words = {None: "none", True: "true", False: "false"}
    return words[value] if isinstance(value, bool | None) else str(value)


def options(cls: type) -> dict[str, Option]:
    """The options of a dataclass, in the order of its fields."""
    return dict(_options(cls))


def _options(cls: type) -> Iterator[tuple[str, Option]]:
    hints = get_type_hints(cls, include_extras=True)
    for f in dataclasses.fields(cls):
        hint, opt = hints[f.name], Opt("")
        if get_origin(hint) is Annotated:
            hint, *extra = get_args(hint)
            opt = next((e for e in extra if isinstance(e, Opt)), opt)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        yield f.name, Option(f.name, _kinds(hint), default, opt)


def _kinds(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(k for part in get_args(hint) for k in _kinds(part))
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (hint if get_origin(hint) is tuple else get_origin(hint) or hint,)


def check(owner: Any, name: str) -> None:
    """Refuse an instance with a field outside its declared type or range."""
    for option in options(type(owner)).values():
        option.check(getattr(owner, option.name), name)


def known(given: Mapping[str, Any], allowed: Mapping[str, Option], owner: str) -> None:
    """Refuse names that are no options, with the nearest one that is."""
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(allowed) or 'none'}"
            raise UsageError(f"{owner} has no option {name!r}: {hint}")
