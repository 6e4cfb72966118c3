"""What a command writes: it is kept with --no-clobber, and one command at a time writes it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

from .progress import note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

NO_CLOBBER = "--no-clobber"


@dataclass(frozen=True)
class _Run:
    """A command that runs: whether it may replace what is there, and the locks that it holds."""

    keep: bool
    locks: contextlib.ExitStack


_running: list[_Run] = []


@contextlib.contextmanager
def outputs(*, keep: bool) -> Iterator[None]:
    """Hold the locks of all that a command writes until it ends.

    Parameters
    ----------
    keep : bool
        Whether `claim_output` refuses what exists.

    """
    with contextlib.ExitStack() as locks:
        _running.append(_Run(keep, locks))
        try:
            yield
        finally:
            _running.pop()


def keeps_outputs() -> bool:
    """Return whether this command may replace nothing."""
    return _running[-1].keep


def write_rows(frame: pl.DataFrame, out: Path, *, safe_csv: bool = True) -> None:
    """Write a table in the format of the file's ending, atomically.

    Parameters
    ----------
    frame : polars.DataFrame
        The rows.
    out : Path
        A file that ends in .parquet, .jsonl or .csv.
    safe_csv : bool
        Mark the texts that a spreadsheet would run as formulas.

    """
    from trueward.core.atomic_io import replacing
    from trueward.data.formula_cells import write_csv

    with replacing(out) as path:
        if out.suffix == ".parquet":
            frame.write_parquet(path)
        elif out.suffix == ".jsonl":
            frame.write_ndjson(path)
        else:
            write_csv(frame, path, safe=safe_csv)


def claim_output(path: Path, option: str = "--out", *, say: bool = False) -> Path:
    """Take a file or folder as the output of this command, before any work.

    Parameters
    ----------
    path : Path
        The target, which the command has checked to be its own kind.
    option : str
        How the user named it.
    say : bool
        Tell that what exists will be replaced.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    TruewardError
        If it exists and --no-clobber was given, or another process is writing it.

    """
    from trueward.core.output_lock import only_writer

    exists = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    run = _running[-1]
    if exists and run.keep:
        raise TruewardError(
            f"{option} {path} exists, and {NO_CLOBBER} keeps it: give another place, or run without that "
            "option"
        )
    run.locks.enter_context(only_writer(path))
    if exists and say:
        note(f"{path} exists; the result replaces it when this command ends")
    return path
