"""The table that features are written to: in memory, or on disk where they would take too much of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import NotWrittenError, TruewardError, UsageError
from trueward.data.readers.unpacked_size import free_memory

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.25  # of the memory that features may take before they are kept on disk
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def feature_table(n: int, width: int, folder: Path | None, memory: int | None = None) -> Tensor:
    """Return an uninitialised table of float16 features.

    A table that would take more than a quarter of the memory is a file that the system maps into memory page
    by page. The file has no name any more, so that its space is free when the process ends, however it ends.

    Parameters
    ----------
    n, width : int
        Numbers of rows and columns.
    folder : Path or None
        Where the file is created; None: the folder of temporary files.
    memory : int or None
        Bytes that may be used; None: what is free on this machine.

    Returns
    -------
    (n, width) Tensor of float16

    Raises
    ------
    TruewardError
        If the file does not fit on the disk.
    NotWrittenError
        If the file cannot be created.

    Examples
    --------
    >>> feature_table(3, 2, None).shape, feature_table(3, 2, None, memory=8).shape
    (torch.Size([3, 2]), torch.Size([3, 2]))

    """
    budget, size = free_memory() if memory is None else memory, 2 * n * width
    if budget is None or size <= SHARE * budget or not size or os.name != "posix":
        return torch.empty(n, width, dtype=torch.float16)
    place = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        if size > shutil.disk_usage(place).free:
            raise TruewardError(
                f"features of {n:,} rows take {size / 1e9:,.1f} GB, and {place} has "
                f"{shutil.disk_usage(place).free / 1e9:,.1f} GB free: free disk space, set TRUEWARD_CACHE to "
                "a larger disk, or keep fewer rows with --unrated-per-rated"
            )
        descriptor, name = tempfile.mkstemp(prefix="trueward-features-", dir=place)
        os.close(descriptor)
        try:
            flat = torch.from_file(name, shared=True, size=n * width, dtype=torch.float16)
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink()
    except (OSError, RuntimeError) as e:
        reason = getattr(e, "strerror", None) or e
        raise NotWrittenError(
            f"features could not be kept in {place} ({reason}): set TRUEWARD_CACHE to a writable folder"
        ) from e
    return flat.view(n, width)


def memory_size(text: str) -> int:
    """Return the bytes of a size such as ``8GB``, ``500 MB`` or ``2e9``.

    Parameters
    ----------
    text : str
        A number with or without a unit; 1 GB is 10^9 bytes.

    Raises
    ------
    UsageError
        If it is no size above 0.

    Examples
    --------
    >>> memory_size("8GB"), memory_size("1.5 g")
    (8000000000, 1500000000)

    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    with contextlib.suppress(ValueError, OverflowError):
        if match and (size := int(float(match[1]) * UNITS[match[2]])) > 0:
            return size
    raise UsageError(f"a size of memory should be like 8GB or 500MB, not {text!r}")
