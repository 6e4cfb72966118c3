"""Import paths of earlier releases, which lead to where their names are now and warn."""

from __future__ import annotations

import importlib
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# module of an earlier release -> module that has its names now, and what to write instead
MOVED = {
    "trueward.method": ("trueward.plugin", "trueward.plugin"),
    "trueward.losses": ("trueward.plugin", "trueward.plugin"),
    "trueward.samplers": ("trueward.plugin", "trueward.plugin"),
    "trueward.options": ("trueward.plugin", "trueward.plugin"),
    "trueward.nuisances": ("trueward.plugin", "trueward.plugin"),
    "trueward.estimable": ("trueward.plugin", "trueward.plugin"),
    "trueward.errors": ("trueward.core.errors", "trueward"),
    "trueward.export": ("trueward.exporting", "trueward.exporting"),
    "trueward.worlds": ("trueward.simulation", "trueward.simulation"),
    "trueward.sources": ("trueward.importers", "trueward.importers"),
}


class MovedModules(MetaPathFinder, Loader):
    """Finds the modules of ``MOVED``; each takes its names from where they are now."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give a spec for a module that has moved."""
        del path, target
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Take the names over, and warn."""
        where, instead = MOVED[module.__name__]
        warnings.warn(
            f"{module.__name__} has moved and will be removed in the next release: import from {instead}",
            DeprecationWarning,
            stacklevel=2,
        )
        names = vars(importlib.import_module(where))
        vars(module).update({k: v for k, v in names.items() if not k.startswith("__")})
