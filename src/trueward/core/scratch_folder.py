"""Temporary folders that a later run removes if the process that made them was killed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no such lock: nothing is swept there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "trueward-"
NAME = re.compile(rf"\.(?P<label>.+)\.{MARK}[a-z0-9_]{{8}}")
YOUNGEST = 60.0  # seconds; the owner of a younger folder may not have locked it yet

_swept: set[Path] = set()  # parents that this process has looked through


class ScratchFolder:
    """A new hidden folder ``.LABEL.trueward-RANDOM``, locked as long as its process lives.

    Parameters
    ----------
    parent : Path
        An existing folder to make it in.
    label : str
        What it is for: the name of the target.

    Attributes
    ----------
    path : Path
        The folder.

    """

    def __init__(self, parent: Path, label: str) -> None:
        self.path = parent / f".{label}.{MARK}{secrets.token_hex(4)}"
        self._unlock = None
        self.path.mkdir(mode=0o700)
        try:
            lock = _locked(self.path)
            self._unlock = None if lock is None else weakref.finalize(self, os.close, lock)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Delete the folder with all that it holds, also if Ctrl-C comes meanwhile."""
        try:
            shutil.rmtree(self.path, ignore_errors=True)
        except KeyboardInterrupt:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        finally:
            if self._unlock is not None:
                self._unlock()


def sweep(parent: Path) -> None:
    """Remove what killed processes left in a folder; put a target back that was moved aside.

    Every process looks through a folder once. A scratch folder that another process holds, on this machine or
    on another one that shares the disk, is left alone.

    Parameters
    ----------
    parent : Path
        The folder that targets are written to.

    """
    if fcntl is None or parent in _swept:
        return
    _swept.add(parent)
    for folder, label in _abandoned(parent):
        aside = set_aside(folder, label)
        if aside.exists() and not (parent / label).exists():
            aside.rename(parent / label)
        shutil.rmtree(folder, ignore_errors=True)


def set_aside(scratch: Path, label: str) -> Path:
    """Return where the old copy of a target stands while the new one takes its place."""
    return scratch / f"{label}.old"


def _abandoned(parent: Path) -> Iterator[tuple[Path, str]]:
    """Yield scratch folders without an owner, and their labels."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            match = NAME.fullmatch(entry.name)
            if not match or not entry.is_dir(follow_symlinks=False):
                continue
            if time.time() - entry.stat(follow_symlinks=False).st_mtime < YOUNGEST:
                continue
            lock = _locked(Path(entry.path))
            if lock is not None:
                try:
                    yield Path(entry.path), match["label"]
                finally:
                    os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds the lock of a folder; None if another process holds it."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
