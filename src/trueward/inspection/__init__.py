"""What a log can identify and what it cannot: one finding a file, found by the file's presence.

A module here whose name does not start with an underscore gives ``find(log)``, an iterable of
findings; nothing needs to be registered.
"""

from .finding import Finding, Severity
from .inspection import Inspection, inspect
from .verdicts import Choice

__all__ = ["Choice", "Finding", "Inspection", "Severity", "inspect"]
