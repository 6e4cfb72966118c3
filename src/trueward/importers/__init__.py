"""Logs of products as one log: a file per source, found by its presence.

A module here whose name does not start with an underscore defines ``SOURCE``; nothing needs to be registered.
Records become two tables, responses and events, and those become a log, the same way for every source.
"""

from .contract import Ask, Source
from .folder import claimed, write
from .gather import Gathered, gather
from .redact import KINDS, Redactor
from .sources import sources
from .users import read_key

__all__ = [
    "KINDS",
    "Ask",
    "Gathered",
    "Redactor",
    "Source",
    "claimed",
    "gather",
    "read_key",
    "sources",
    "write",
]
