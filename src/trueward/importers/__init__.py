"""Import the logs of products; a module in `products` is a source, found by its presence.

Records become rows of two tables, responses and events, and these become a log in the same way for every
source.
"""

from .contract import Source, UserMapping
from .detect import sources
from .imported import ImportedLog
from .pipeline import import_log
from .privacy import KINDS, Redactor, read_key

__all__ = [
    "KINDS",
    "ImportedLog",
    "Redactor",
    "Source",
    "UserMapping",
    "import_log",
    "read_key",
    "sources",
]
