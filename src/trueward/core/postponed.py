"""A module that is imported when it is first used, for commands that may never use it."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class PostponedModule(ModuleType):
    """Stands in `sys.modules` for a module until one of its attributes is read."""

    def __getattr__(self, name: str) -> object:
        """Import the real module, put it in place and read the attribute from it."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def postpone(name: str) -> None:
    """Let ``import name`` cost nothing until the module is used; without effect once it is loaded.

    Parameters
    ----------
    name : str
        A top-level module, such as ``torch``. ``from name import x`` and ``import name.sub`` load it at once.

    Notes
    -----
    The module stands in for the real one also where it was bound by ``import name`` before it was loaded.

    """
    if name not in sys.modules:
        module = PostponedModule(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
