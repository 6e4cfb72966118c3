"""The files of an exported folder, and their hashes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# where a loader of classifiers finds no config.json, it makes no head of its own
TRANSFORMER = "0_Transformer"


def config_folder(folder: Path) -> Path:
    """Return where the files of the language model are: a folder of sentence-transformers has them apart.

    Parameters
    ----------
    folder : Path
        An exported folder.

    Returns
    -------
    Path
        ``0_Transformer`` in the folder where it exists, else the folder.

    """
    apart = folder / TRANSFORMER
    return apart if apart.is_dir() else folder


def weight_files(folder: Path) -> list[Path]:
    """List the weights of a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Its safetensors files, those of sub-folders too, sorted.

    """
    return sorted(folder.rglob("*.safetensors"))


def sha256_of(files: Sequence[Path]) -> str:
    """Hash some files.

    Parameters
    ----------
    files : sequence of Path
        The files, in order.

    Returns
    -------
    str
        SHA-256 of their concatenated SHA-256 digests, in hexadecimal.

    """
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as f:
            total.update(hashlib.file_digest(f, "sha256").digest())
    return total.hexdigest()
