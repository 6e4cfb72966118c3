"""Features: prompt and response become one row of numbers, the same on every machine."""

from .backbones import Backbone, backbone, identity
from .encode import cached_in, encode, features, fill
from .precomputed import precomputed

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
