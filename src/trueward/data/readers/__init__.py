"""Tables of any source as checked columns: sources, names, cells."""

from .databases import refuse_uri
from .digests import fingerprint
from .frames import typed
from .gold import read_gold
from .names import absent, listed, resolve, want
from .queries import rows as query_rows
from .table import Table
from .tables import read_table
from .values import Rows

__all__ = [
    "Rows",
    "Table",
    "absent",
    "fingerprint",
    "listed",
    "query_rows",
    "read_gold",
    "read_table",
    "refuse_uri",
    "resolve",
    "typed",
    "want",
]
