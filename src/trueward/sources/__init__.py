"""Logs of products as one log: a file per source, found by its presence.

A module here whose name does not start with an underscore defines ``SOURCE``; nothing needs to be registered.
Records become two tables, responses and events, and those become a log, the same way for every source.
"""

from ._contract import Ask, Source
from ._folder import claimed, write
from ._gather import Gathered, gather
from ._redact import KINDS, Redactor
from ._sources import sources
from ._users import read_key

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
