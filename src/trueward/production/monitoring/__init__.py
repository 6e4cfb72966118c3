"""Monitoring: four drifts of a log against a reference, honest at every look."""

from .drift import Drift
from .monitor import monitor
from .result import Monitor, Period

__all__ = ["Drift", "Monitor", "Period", "monitor"]
