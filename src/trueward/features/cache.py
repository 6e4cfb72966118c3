"""A cache of features on disk, keyed by the hash of the backbone and the texts.

Any failure to read or write leads to the features being computed, never to an error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

LOG = logging.getLogger("trueward")


def default_cache_folder() -> Path:
    """Return $TRUEWARD_CACHE/features, else trueward/features in $XDG_CACHE_HOME or ~/.cache."""
    folder = os.environ.get("TRUEWARD_CACHE")
    if folder:
        return Path(folder, "features")
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path("~/.cache").expanduser()) / "trueward" / "features"


def block_key(spec: str, prompts: Sequence[str], responses: Sequence[str]) -> str:
    """Return the SHA-256 over the backbone and each text with its length.

    Parameters
    ----------
    spec : str
        What identifies the backbone, from `trueward.features.identity`.
    prompts, responses : sequence of str, length n
        Texts of one block of rows.

    Returns
    -------
    str
        64 hexadecimal digits.

    """
    digest = hashlib.sha256(spec.encode())
    for pair in zip(prompts, responses, strict=True):
        for text in pair:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(b"\x1f%d\x1f" % len(raw))
            digest.update(raw)
    return digest.hexdigest()


@dataclass(frozen=True)
class Cache:
    """Blocks of features, each in one file that is complete or absent.

    Attributes
    ----------
    folder : Path
        Folder of the files; created by the first write.

    """

    folder: Path

    def path(self, key: str) -> Path:
        """Return the file of a block."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def read_into(self, key: str, out: Tensor) -> bool:
        """Copy a block from the cache into ``out``.

        Parameters
        ----------
        key : str
            Key of the block, from `block_key`.
        out : Tensor, (n, d)
            Destination; its shape and dtype must match the file.

        Returns
        -------
        bool
            False if the block is absent or damaged; ``out`` is unchanged then.

        """
        path = self.path(key)
        try:
            if not path.is_file():
                return False
            with safe_open(path, "pt") as block:
                metadata, x = block.metadata() or {}, block.get_tensor("x")
        except (OSError, SafetensorError) as e:
            LOG.warning("%s is damaged and will be computed again (%s)", path, e)
            return False
        if x.shape != out.shape or x.dtype != out.dtype or metadata.get("sha256") != _sha256(x):
            LOG.warning("%s is damaged and will be computed again", path)
            return False
        out.copy_(x)
        return True

    def write(self, key: str, x: Tensor) -> None:
        """Write a block; the first failure per folder is logged and disables writing to it.

        Parameters
        ----------
        key : str
            Key of the block, from `block_key`.
        x : Tensor, (n, d)
            Features of the block.

        """
        if self.folder in _unwritable():
            return
        try:
            if shutil.disk_usage(_existing_parent(self.folder)).free < 4 * x.nbytes:
                raise TruewardError("the disk is nearly full")  # noqa: TRY301
            with replacing(self.path(key)) as path:
                save_file({"x": x.contiguous()}, path, {"sha256": _sha256(x)})
        except (OSError, SafetensorError, TruewardError) as e:
            _unwritable().add(self.folder)
            LOG.warning(
                "features are computed but not cached, because %s cannot be written (%s): set "
                "TRUEWARD_CACHE to a writable folder, or pass cache=False",
                self.folder,
                e,
            )


@cache
def _unwritable() -> set[Path]:
    """Return the folders that this process has failed to write to."""
    return set()


def _existing_parent(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def _sha256(x: Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().data).hexdigest()
