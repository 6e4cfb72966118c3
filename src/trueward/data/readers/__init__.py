"""Read tables from files, folders, queries and memory, with errors that name file, row and column.

Formats: JSON lines and JSON arrays, CSV (each plain or gzipped), Parquet, Arrow, folders of shards, ``.sql``
files with a query, and tables of polars, pandas and pyarrow. To read a table with canonical columns:

1. `wanted_columns` combines canonical names and the user's mapping.
2. `read_table` reads the columns of a source that are wanted, as a `Table`.
3. `match_columns` matches canonical names to its columns; `missing_columns_error` is raised for the others.
4. `typed_frame` checks the cells and returns a polars frame.

`query_rows` gives the rows of a query batch by batch. Modules by what they read: `json_lines`, `csv_files`,
`columnar` (Parquet, Arrow), `folders`, `queries`; `sources` chooses among them.
"""

from .column_names import (
    WantedColumns,
    list_columns,
    match_columns,
    missing_columns_error,
    wanted_columns,
)
from .database_types import Rows
from .databases import refuse_uri
from .queries import query_rows
from .sources import read_table
from .table import Table, without_gaps
from .typed_frame import typed_frame

__all__ = [
    "Rows",
    "Table",
    "WantedColumns",
    "list_columns",
    "match_columns",
    "missing_columns_error",
    "query_rows",
    "read_table",
    "refuse_uri",
    "typed_frame",
    "wanted_columns",
    "without_gaps",
]
