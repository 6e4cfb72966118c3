"""Import paths of earlier releases: they still work, with a DeprecationWarning."""

from __future__ import annotations

import importlib
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

#: Module of an earlier release -> module that has its names now, and the module to import from instead.
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
    "trueward.plotting": ("trueward.evaluation.plotting", "trueward.evaluation.plotting"),
}


class MovedModules(MetaPathFinder, Loader):
    """Import hook for the modules of `MOVED`; `trueward` appends it to ``sys.meta_path``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec if a module has moved.

        Parameters
        ----------
        fullname : str
            Dotted name of the module.
        path, target : object
            Part of the protocol; not used.

        Returns
        -------
        ModuleSpec or None
            None for every other module, so that the import system goes on.

        """
        del path, target
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Copy the names from the new module and warn.

        Parameters
        ----------
        module : ModuleType
            The empty module under its old name.

        """
        new_home, replacement = MOVED[module.__name__]
        warnings.warn(
            f"{module.__name__} has moved and will be removed in the next release: "
            f"import from {replacement}",
            DeprecationWarning,
            stacklevel=2,
        )
        names = vars(importlib.import_module(new_home))
        vars(module).update({k: v for k, v in names.items() if not k.startswith("__")})
