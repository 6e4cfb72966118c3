"""What a log can identify and what it cannot: one finding a file, found by the file's presence.

A module here whose name does not start with an underscore gives ``find(log)``, an iterable of
findings; nothing needs to be registered.
"""

from ._finding import Finding, Severity
from ._inspection import Inspection, inspect
from ._verdicts import Choice

__all__ = ["Choice", "Finding", "Inspection", "Severity", "inspect"]
