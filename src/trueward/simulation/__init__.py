"""Simulated worlds: a log made from rated answers, with the truth kept beside it."""

from .chances import water_fill
from .helpdesk import helpdesk
from .mechanisms import CLICKS, MECHANISMS
from .predictions import PREDICTIONS
from .simulate import World, simulate

__all__ = ["CLICKS", "MECHANISMS", "PREDICTIONS", "World", "helpdesk", "simulate", "water_fill"]
