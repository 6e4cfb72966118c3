"""How much memory a model needs, so that a run that cannot work says so before it starts."""

from __future__ import annotations

import json
import math
import os
import struct
from typing import TYPE_CHECKING

import torch

from trueward.core.errors import TruewardError

if TYPE_CHECKING:
    from pathlib import Path

    from trueward.features.transformers.model_folder import ModelFolder

GIGABYTE = 1e9
ROOM = 1.2  # weights, and the keys and values of a batch
SMALL = 2e9  # parameters that a CPU generates with in bearable time
BYTES = {"cpu": 4, "cuda": 2}  # of one weight: float32, bfloat16


def parameter_count(folder: ModelFolder) -> int:
    """Count the parameters of a model from the headers of its files.

    Parameters
    ----------
    folder : ModelFolder
        Its files.

    Returns
    -------
    int
        Of weights that are not in safetensors, half of their bytes.

    """
    files = sorted(folder.path.glob("model*.safetensors"))
    if files:
        return sum(_in_header(file) for file in files)
    return sum(file.stat().st_size for file in folder.path.glob("pytorch_model*.bin")) // 2


def require_memory(folder: ModelFolder, device: str | None) -> None:
    """Refuse a model that this machine cannot run.

    Parameters
    ----------
    folder : ModelFolder
        Its files.
    device : str or None
        The device that the user has named; by default the GPU, else the CPU.

    Raises
    ------
    TruewardError
        If there is no GPU and the model has more than 2 billion parameters, or the memory is too small;
        the message says how much it needs.

    """
    count = parameter_count(folder)
    gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    kind = "cuda" if gpu else "cpu"
    need = count * BYTES[kind] * ROOM
    size = f"{folder.source} has {count / GIGABYTE:.1f} billion parameters"
    if not gpu and device is None and count > SMALL:
        raise TruewardError(
            f"{size} and needs about {count * BYTES['cuda'] * ROOM / GIGABYTE:.0f} GB of GPU memory, and "
            "this machine has no GPU: run the command on a machine that has one, serve the model and give "
            f"http://HOST/v1,model=NAME, or add --device cpu, which takes {need / GIGABYTE:.0f} GB of memory "
            "and hours"
        )
    have = _gpu_memory(device) if gpu else _memory()
    if need > have:
        raise TruewardError(
            f"{size} and needs about {need / GIGABYTE:.0f} GB of memory on {kind}, and this machine has "
            f"{have / GIGABYTE:.0f} GB: use a machine with more, or serve the model and give http://HOST/v1,model=NAME"
        )


def _in_header(file: Path) -> int:
    """Count the numbers of one file of safetensors."""
    try:
        with file.open("rb") as f:
            (length,) = struct.unpack("<Q", f.read(8))
            header = json.loads(f.read(min(length, 1 << 28)))
        return sum(math.prod(v["shape"]) for k, v in header.items() if k != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, struct.error) as e:
        raise TruewardError(
            f"{file} is damaged or incomplete, probably after an interrupted download or copy: fetch it again"
        ) from e


def _gpu_memory(device: str | None) -> float:
    return float(torch.cuda.mem_get_info(device)[0])


def _memory() -> float:
    """Return the memory of this machine; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
