"""Digests of files and folders, by which a pipeline knows whether an input changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from trueward.core.output_lock import ENDING
from trueward.core.scratch_folder import MARK


def digest(path: str | Path) -> str | None:
    """Return the SHA-256 of a file, or of the names and contents of a folder.

    Parameters
    ----------
    path : str or Path
        The file or folder. Locks and scratch folders of trueward in it do not count.

    Returns
    -------
    str or None
        64 hexadecimal digits; None if nothing is there.

    Examples
    --------
    >>> digest("no such file") is None
    True

    """
    place = Path(path)
    if place.is_file():
        return _of_file(place)
    if not place.is_dir():
        return None
    total = hashlib.sha256()
    for file in sorted(_files(place), key=lambda f: f.relative_to(place).as_posix()):
        name = file.relative_to(place).as_posix()
        total.update(f"{name}\0{_of_file(file)}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _files(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [n for n in folders if not (n.startswith(".") and f".{MARK}" in n)]
        found += [Path(parent, n) for n in names if not n.endswith(ENDING)]
    return [f for f in found if f.is_file()]


def _of_file(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
