"""Atomic writes: a file or folder is replaced as a whole or left unchanged.

A file is replaced in one step, and so is a folder where the system can exchange two names (Linux). Elsewhere
a folder needs two renames; if the process is killed between them, the old folder is still complete in a
hidden folder beside it, and the next run puts it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polars.exceptions import PolarsError
from safetensors import SafetensorError

from .errors import NotWrittenError
from .remote_files import output_address, uploading
from .scratch_folder import ScratchFolder, set_aside, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``.

    The caller writes a file or a folder to the temporary path. On any exception the temporary path is
    removed and ``path`` is unchanged.

    Parameters
    ----------
    path : str or Path
        The target; its parent folders are created. The address of a store, such as ``s3://bucket/a.parquet``,
        gets a file when it is whole.

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
    if address := output_address(path):
        with uploading(address) as new:
            yield new
        return
    path, scratch = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        scratch = ScratchFolder(path.parent, path.name)
        new = scratch.path / path.name
        yield new
        _give_usual_modes(new, scratch.path)
        _sync(new)
        if not (path.is_dir() and _exchange(new, path)):
            if path.is_dir():
                path.rename(set_aside(scratch.path, path.name))
            new.replace(path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError, PolarsError) as e:  # the last two wrap a full disk
        raise _not_written(path, e) from e
    finally:
        if scratch is not None:
            old = set_aside(scratch.path, path.name)
            if old.exists() and not path.exists():  # stopped between the two renames
                old.rename(path)
            scratch.remove()


def _exchange(new: Path, target: Path) -> bool:
    """Swap two paths in one step; False where the system or the disk cannot."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(target))
    return renameat2 is not None and renameat2(*names, RENAME_EXCHANGE) == 0


def _give_usual_modes(path: Path, scratch: Path) -> None:
    """Make files as readable as the umask says; some writers make them readable by their owner alone."""
    file, folder = scratch / "mode of a file", scratch / "mode of a folder"
    file.touch()
    folder.mkdir()
    modes = {False: file.stat().st_mode & 0o777, True: folder.stat().st_mode & 0o777}
    for p in _tree(path):
        if not p.is_symlink():
            p.chmod((p.stat().st_mode & 0o777) | modes[p.is_dir()])


def _sync(path: Path) -> None:
    for p in _tree(path):
        if p.is_dir():
            _sync_folder(p)
        elif p.is_file():
            fd = os.open(p, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _tree(path: Path) -> list[Path]:
    return [path, *path.rglob("*")] if path.is_dir() else [path]


def _not_written(path: Path, e: Exception) -> NotWrittenError:
    reason = e.strerror if isinstance(e, OSError) and e.strerror else " ".join(str(e).split())
    return NotWrittenError(
        f"{path} could not be written ({reason}); its earlier content is unchanged: "
        "free some disk space or choose a folder you may write to"
    )
