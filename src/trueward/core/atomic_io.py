"""Writing that is all or nothing: the old file or folder, or the new one, never half of one.

A file is replaced in one step. A folder needs two renames: a kill between them leaves the old one whole in
a hidden folder beside it.
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
    """Give a temporary path beside ``path``; on success it replaces ``path``, on failure it goes.

    What is written may be a file or a folder. An operating-system error (disk full, no permission)
    becomes one sentence, and what was at ``path`` before is still there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as e:
        raise _refused(path, e) from e
    try:
        yield scratch / path.name
        _sync(scratch / path.name)
        if path.is_dir():
            old = scratch / "old"
            path.rename(old)
            try:
                (scratch / path.name).rename(path)
            except BaseException:  # Ctrl-C too: the old one must not go with the scratch folder
                old.rename(path)
                raise
        else:
            (scratch / path.name).replace(path)
    except (OSError, SafetensorError, PolarsError) as e:  # the last two wrap a full disk
        raise _refused(path, e) from e
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


def _refused(path: Path, e: Exception) -> NotWrittenError:
    reason = e.strerror if isinstance(e, OSError) and e.strerror else " ".join(str(e).split())
    return NotWrittenError(
        f"{path} could not be written ({reason}); what was there before is unchanged: "
        "free some space or choose a folder you may write to"
    )
