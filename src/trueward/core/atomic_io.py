"""Atomic writes: a file or folder is replaced as a whole or left unchanged.

A file is replaced in one step. A folder needs two renames; if the process is killed between them, the
old folder is still complete in a hidden folder beside it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from polars.exceptions import PolarsError
from safetensors import SafetensorError

from .errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``.

    The caller writes a file or a folder to the temporary path. On any exception the temporary path is
    removed and ``path`` is unchanged.

    Parameters
    ----------
    path : str or Path
        The target; its parent folders are created.

    Yields
    ------
    Path
        A path with the name of the target in a new folder beside it.

    Raises
    ------
    NotWrittenError
        If the system refuses: full disk, no permission.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp(), "a.txt")
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'

    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as e:
        raise _not_written(path, e) from e
    try:
        yield scratch / path.name
        _sync(scratch / path.name)
        if path.is_dir():
            old = scratch / "old"
            path.rename(old)
            try:
                (scratch / path.name).rename(path)
            except (
                BaseException
            ):  # Ctrl-C too: the old folder must not be removed with the scratch folder
                old.rename(path)
                raise
        else:
            (scratch / path.name).replace(path)
    except (OSError, SafetensorError, PolarsError) as e:  # the last two wrap a full disk
        raise _not_written(path, e) from e
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sync(path: Path) -> None:
    for p in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if p.is_file():
            fd = os.open(p, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _not_written(path: Path, e: Exception) -> NotWrittenError:
    reason = e.strerror if isinstance(e, OSError) and e.strerror else " ".join(str(e).split())
    return NotWrittenError(
        f"{path} could not be written ({reason}); its earlier content is unchanged: "
        "free some disk space or choose a folder you may write to"
    )
