"""Find a method by its name: the files of this package, and entry points of other packages."""

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
    """What loads each method, by name: the files of this package, then entry points of packages."""
    package = importlib.import_module(__package__)
    files = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    found: dict[str, Callable[[], Any]] = {
        name: partial(importlib.import_module, f"{package.__name__}.{name}") for name in files
    }
    found |= {e.name: e.load for e in entry_points(group="trueward.methods")}
    return dict(sorted(found.items()))


@cache
def _loaded(name: str) -> type[Method]:
    return _only_method(name, _sources()[name]())


def methods() -> dict[str, type[Method]]:
    """Every method by name."""
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
    """Find a method by name, or say which there are; only its own file is loaded."""
    found = _sources()
    if name not in found:
        raise UsageError(f"no method is called {name!r}: {suggestion(name, found)}")
    return _loaded(name)


def make(name: str, given: Mapping[str, Any] | None = None) -> Method:
    """Make a method from its name and options; ``preset`` names a set that the others override."""
    cls, chosen = method_class(name), dict(given or {})
    if (preset := chosen.pop("preset", None)) is not None:
        if preset not in cls.presets:
            have = ", ".join(cls.presets) or "none"
            raise UsageError(f"{name} has no preset {preset!r}: it has {have}")
        chosen = {**cls.presets[preset], **chosen}
    allowed = options(cls)
    check_names(chosen, allowed, name)
    for option in allowed.values():
        if option.default is MISSING and option.name not in chosen:
            raise UsageError(
                f"{name} needs the option {option.name}, which has no default: choose "
                f"{option.accepts} ({option.opt.help}), e.g. -o {option.name}={option.kinds[0]}"
            )
    read = {k: allowed[k].parse(v, name) if isinstance(v, str) else v for k, v in chosen.items()}
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in read.items()})
