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

    Examples
    --------
    >>> import sys
    >>> postpone("colorsys")
    >>> import colorsys
    >>> type(colorsys).__name__, colorsys.rgb_to_hsv(0.0, 0.0, 1.0)
    ('PostponedModule', (0.6666666666666666, 1.0, 1.0))

    """
    if name not in sys.modules:
        module = PostponedModule(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
