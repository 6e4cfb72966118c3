"""Features on disk under the hash of what they were made from; any failure means: compute."""

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


def default_folder() -> Path:
    """Give $TRUEWARD_CACHE/features, else $XDG_CACHE_HOME or ~/.cache, then trueward/features."""
    own = os.environ.get("TRUEWARD_CACHE")
    if own:
        return Path(own, "features")
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path("~/.cache").expanduser()) / "trueward" / "features"


def key_of(spec: str, prompts: Sequence[str], responses: Sequence[str]) -> str:
    """SHA-256 over the backbone and every text with its length, so that no two inputs collide."""
    digest = hashlib.sha256(spec.encode())
    for pair in zip(prompts, responses, strict=True):
        for text in pair:
            raw = text.encode("utf-8", "surrogatepass")
            digest.update(b"\x1f%d\x1f" % len(raw))
            digest.update(raw)
    return digest.hexdigest()


@dataclass(frozen=True)
class Cache:
    """Blocks of features, each in one file that is complete or not there."""

    folder: Path

    def path(self, key: str) -> Path:
        """Give the file of a block."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def read_into(self, key: str, out: Tensor) -> bool:
        """Fill ``out`` with the block and say so; False if it is absent, damaged or another's."""
        path = self.path(key)
        try:
            if not path.is_file():
                return False
            with safe_open(path, "pt") as block:
                about, x = block.metadata() or {}, block.get_tensor("x")
        except (OSError, SafetensorError) as e:
            LOG.warning("%s is damaged and is made again (%s)", path, e)
            return False
        if x.shape != out.shape or x.dtype != out.dtype or about.get("sha256") != _digest(x):
            LOG.warning("%s is damaged and is made again", path)
            return False
        out.copy_(x)
        return True

    def write(self, key: str, x: Tensor) -> None:
        """Keep a block; a folder that cannot be written is reported once and then left alone."""
        if self.folder in _refused():
            return
        try:
            if shutil.disk_usage(_existing(self.folder)).free < 4 * x.nbytes:
                raise TruewardError("the disk is nearly full")  # noqa: TRY301
            with replacing(self.path(key)) as path:
                save_file({"x": x.contiguous()}, path, {"sha256": _digest(x)})
        except (OSError, SafetensorError, TruewardError) as e:
            _refused().add(self.folder)
            LOG.warning(
                "features are computed but not kept, because %s cannot be written (%s); set "
                "TRUEWARD_CACHE to a folder that can, or pass cache=False",
                self.folder,
                e,
            )


@cache
def _refused() -> set[Path]:
    """Give the folders that this process has failed to write to."""
    return set()


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.exists())


def _digest(x: Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().data).hexdigest()
