"""Cost of an import from a database, compared with the same rows from a Parquet file.

python benchmarks/query_speed.py [--rows 1000000] [--folder /tmp]

Writes responses to a Parquet file, to DuckDB, to SQLite and, if it is installed, to a PostgreSQL server of its own, and
imports each in a process of its own. Needs the extra trueward[sql].
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_postgresql.dbapi as pg
import duckdb
import pyarrow.parquet as pq

from trueward.importers import import_log

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers import postgres

ROWS = """
SELECT 'x:' || i AS response_id, repeat('How do I undo step ' || (i // 3) || '? ', 8) AS prompt,
    repeat('Press ' || i || '. ', 20) AS response, 'u' || (i % 50000) AS user_id,
    TIMESTAMPTZ '2026-01-01' + to_seconds(i) AS shown_at
FROM range({}) t(i)
"""


def run_import(path: str) -> None:
    """Import, and print rows, seconds and peak memory."""
    start, used = time.perf_counter(), time.process_time()
    rows = import_log("generic", [path]).log.height
    clock, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rows:,} | {clock:.1f} | {cpu:.1f} | {peak:,.0f}", flush=True)


def timed(name: str, path: Path, database: str = "") -> None:
    print(f"{name} | ", end="", flush=True)
    env = {**os.environ, "TRUEWARD_DATABASE": database}
    subprocess.run([sys.executable, __file__, "--one", str(path)], env=env, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the tables are written")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run_import(args.one)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        with duckdb.connect(folder / "d.duckdb") as db:
            db.execute(f"CREATE TABLE r AS {ROWS.format(args.rows)}")
            db.execute(f"COPY r TO '{folder}/r.parquet'")
        (folder / "files.sql").write_text(f"SELECT * FROM '{folder}/r.parquet'")
        (folder / "table.sql").write_text("SELECT * FROM r")
        print("from | rows | s | s of the processor | MiB at most")
        timed("Parquet", folder / "r.parquet")
        timed("a query of Parquet", folder / "files.sql")
        timed("DuckDB", folder / "table.sql", f"duckdb:{folder}/d.duckdb")
        table = pq.read_table(folder / "r.parquet")
        with contextlib.closing(sqlite3.connect(folder / "s.db")) as lite, lite:
            lite.execute("CREATE TABLE r (response_id, prompt, response, user_id, shown_at)")
            for batch in table.to_batches(10_000):
                columns = [*(c.to_pylist() for c in batch.columns[:4]), map(str, batch.columns[4])]
                lite.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?)", zip(*columns, strict=True))
        timed("SQLite", folder / "table.sql", f"sqlite:{folder}/s.db")
        if postgres.programs() is None:
            return
        with postgres.server() as address:
            uri = f"postgresql://boss:{postgres.SPELLED}@{address}/postgres"
            with pg.connect(uri, autocommit=True) as db, db.cursor() as cursor:
                cursor.adbc_ingest("r", table)
            timed("PostgreSQL", folder / "table.sql", uri)


if __name__ == "__main__":
    main()
