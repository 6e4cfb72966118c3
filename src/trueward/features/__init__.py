"""Features: prompt and response become one row of numbers, the same on every machine."""

from .backbones import Backbone, backbone
from .encode import encode
from .precomputed import precomputed

__all__ = ["Backbone", "backbone", "encode", "precomputed"]
