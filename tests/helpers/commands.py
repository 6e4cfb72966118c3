"""A small good log, and the command line run in the process."""

import polars as pl
import pytest

from trueward.cli.app import main

N = 180
ROWS = {
    "prompt": [f"How do I undo step {i // 3}?" for i in range(N)],
    "response": [f"Press undo {i} times." for i in range(N)],
    "feedback": [[1.0, 0.0, None][i % 3] if i % 2 else [0.0, 1.0, None][i % 3] for i in range(N)],
}


def table(path, **columns):
    """Write the good rows with some columns replaced; None drops one."""
    kept = {k: v for k, v in {**ROWS, **columns}.items() if v is not None}
    frame = pl.DataFrame(kept, strict=False)
    write = {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".jsonl": frame.write_ndjson}
    write[path.suffix](path)
    return str(path)


def run(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(command)
    shown = capsys.readouterr()
    return stop.value.code or 0, shown.out, shown.err
