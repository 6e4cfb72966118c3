"""Features: turn each prompt and response into one row of numbers.

Names are imported when they are first used, so that ``import trueward.features`` loads neither torch
nor a text model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backbones import Backbone, backbone, identity
    from .encoding import cached_in, encode, features
    from .filling import fill
    from .precomputed_features import precomputed

__all__ = [
    "Backbone",
    "backbone",
    "cached_in",
    "encode",
    "features",
    "fill",
    "identity",
    "precomputed",
]

_MODULES = {
    "Backbone": "backbones",
    "backbone": "backbones",
    "identity": "backbones",
    "cached_in": "encoding",
    "encode": "encoding",
    "features": "encoding",
    "fill": "filling",
    "precomputed": "precomputed_features",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'trueward.features' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
