"""Find methods by name: the files of this package, and entry points of other packages."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import MISSING
from functools import cache, partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.options import check_names, options
from trueward.core.suggest import suggestion
from trueward.estimation.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


@cache
def _sources() -> dict[str, Callable[[], ModuleType | type[Method]]]:
    """Return the loader of every method, by name; entry points override files of this package."""
    package = importlib.import_module(__package__)
    files = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    loaders: dict[str, Callable[[], Any]] = {
        name: partial(importlib.import_module, f"{package.__name__}.{name}") for name in files
    }
    loaders |= {e.name: e.load for e in entry_points(group="trueward.methods")}
    return dict(sorted(loaders.items()))


@cache
def _loaded(name: str) -> type[Method]:
    return _only_method(name, _sources()[name]())


def methods() -> dict[str, type[Method]]:
    """Return the class of every method, by name.

    Returns
    -------
    dict of str to type
        Methods of this package and of installed packages with an entry point ``trueward.methods``.

    Examples
    --------
    >>> from trueward import methods
    >>> methods()["naive"].__name__
    'Naive'

    """
    return {name: _loaded(name) for name in _sources()}


def _only_method(name: str, module: ModuleType | type[Method]) -> type[Method]:
    if isinstance(module, type):
        classes = [module]
    else:
        classes = [
            v
            for v in vars(module).values()
            if isinstance(v, type) and v.__module__ == module.__name__ and issubclass(v, Method)
        ]
    if len(classes) != 1:
        raise TypeError(f"estimators/{name}.py must define one Method, and defines {len(classes)}")
    classes[0].name = name
    return classes[0]


def method_class(name: str) -> type[Method]:
    """Return the class of a method; only its own file is loaded.

    Parameters
    ----------
    name : str
        Name of a method.

    Returns
    -------
    type

    Raises
    ------
    UsageError
        If there is no such method; it suggests the nearest name.

    """
    sources = _sources()
    if name not in sources:
        raise UsageError(f"no method is called {name!r}: {suggestion(name, sources)}")
    return _loaded(name)


def is_found(cls: type[Method]) -> bool:
    """Whether a method is found by its name, as loading a saved model needs it."""
    return cls.name in _sources() and _loaded(cls.name) is cls


def make(name: str, given: Mapping[str, Any] | None = None) -> Method:
    """Create a method from its name and options.

    Parameters
    ----------
    name : str
        Name of a method.
    given : mapping, optional
        Options, as values or as text. ``preset`` names a set of options that the others override.

    Returns
    -------
    Method

    Raises
    ------
    UsageError
        If a name or a value is not accepted, or a required option is missing.

    """
    cls, chosen = method_class(name), dict(given or {})
    if (preset := chosen.pop("preset", None)) is not None:
        if preset not in cls.presets:
            raise UsageError(f"{name} has no preset {preset!r}: {suggestion(preset, cls.presets)}")
        chosen = {**cls.presets[preset], **chosen}
    allowed = options(cls)
    check_names(chosen, allowed, name)
    for option in allowed.values():
        if option.default is MISSING and option.name not in chosen:
            raise UsageError(
                f"{name} needs the option {option.name}, which has no default: choose "
                f"{option.accepts} ({option.opt.help}), e.g. -o {option.name}={option.kinds[0]}"
            )
    values = {k: allowed[k].parse(v, name) if isinstance(v, str) else v for k, v in chosen.items()}
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
