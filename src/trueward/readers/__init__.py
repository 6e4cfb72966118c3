"""Tables of any source as checked columns: sources, names, cells."""

from .cells import parse
from .digests import fingerprint, prompt_ids
from .names import absent, listed, resolve, want
from .table import Table
from .tables import read_table

__all__ = [
    "Table",
    "absent",
    "fingerprint",
    "listed",
    "parse",
    "prompt_ids",
    "read_table",
    "resolve",
    "want",
]
