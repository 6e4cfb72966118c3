"""Public names, and what every method declares, as plain data."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing

from golden.world import done

import trueward as tw

# classes that a user makes; what the others are made with is not promised
MADE = ("Feedback", "Labelled", "Train")


def names():
    """The names of the package, in the order a user meets them."""
    return list(tw.__all__)


def calls():
    """How its functions, and the classes that a user makes, are called: parameter -> kind and default."""
    found = {n: getattr(tw, n) for n in tw.__all__}
    found = {n: v for n, v in found.items() if inspect.isfunction(v) or n in MADE}
    return {n: _parameters(v) for n, v in found.items()}


def _parameters(call):
    given = inspect.signature(call).parameters.values()
    return {p.name: f"{p.kind.name}{_default(p)}" for p in given}


def _default(p):
    if p.default is p.empty:
        return ""
    plain = isinstance(p.default, str | int | float | tuple | types.NoneType)
    return f" = {p.default!r}" if plain else " = ..."


def options(cls):
    """Option -> its default, its range and what it may be."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: _option(f, hints[f.name]) for f in dataclasses.fields(cls)}


def _option(field, hint):
    needed = field.default is dataclasses.MISSING
    found = {"default": "needed" if needed else json.loads(json.dumps(field.default))}
    notes = []
    while typing.get_origin(hint) is typing.Annotated:
        hint, *more = typing.get_args(hint)
        notes += more
    found["values"] = _values(hint)
    ranges = [n for n in notes if hasattr(n, "low")]
    found["range"] = [[str(n.low), str(n.high), n.open_low, n.open_high] for n in ranges]
    return found


def _values(hint):
    """Words for the types and the choices of a value."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return sorted(w for i in inner for w in _values(i))
    if origin is typing.Literal:
        return sorted(map(str, inner))
    if origin is tuple:
        return [f"{inner[0].__name__} ..."]
    return [hint.__name__]


def methods():
    """What every method declares: options, presets, columns it needs."""
    told = json.loads(done("methods", "--json"))
    return {
        name: {
            "options": options(cls),
            "presets": told[name]["presets"],
            "needs": told[name]["needs"],
            "takes": {k: v["takes"] for k, v in told[name]["options"].items()},
        }
        for name, cls in tw.methods().items()
    }


def everything():
    """All of the above."""
    return {
        "names": names(),
        "calls": calls(),
        "methods": methods(),
        "training": options(tw.Train),
    }
