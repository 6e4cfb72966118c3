"""Simulated logs with known truth: selective, noisy feedback drawn on a table of rated answers."""

from .helpdesk import helpdesk
from .mechanisms import CLICKS, MECHANISMS
from .predictions import PREDICTIONS
from .propensity import water_fill
from .simulate import World, simulate

__all__ = ["CLICKS", "MECHANISMS", "PREDICTIONS", "World", "helpdesk", "simulate", "water_fill"]
