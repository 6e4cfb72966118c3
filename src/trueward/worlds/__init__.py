"""Simulated worlds: a log made from rated answers, with the truth kept beside it."""

from .helpdesk import helpdesk
from .selection import MECHANISMS, water_fill
from .simulate import World, simulate

__all__ = ["MECHANISMS", "World", "helpdesk", "simulate", "water_fill"]
