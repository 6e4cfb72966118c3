"""How networks are trained: the settings, and what they are when none are given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt, check


@dataclass(frozen=True, kw_only=True)
class Train:
    """How networks are trained; the same for every method and nuisance."""

    seed: Annotated[int, Opt("root of all random streams", 0)] = 0
    epochs: Annotated[
        int | None,
        Opt("passes over the rows at most; none: 4 to 8, more on fewer than 1024 features", 1),
    ] = None
    batch_size: Annotated[
        int | None, Opt("rows a step; none: a 12th of the rows, between 64 and 1024", 1)
    ] = None
    lr: Annotated[
        float | None,
        Opt(
            "peak learning rate of AdamW; none: 3e-4, times sqrt(1024/d) below 1024 features",
            0,
            open_low=True,
        ),
    ] = None
    weight_decay: Annotated[float, Opt("of AdamW", 0)] = 0.01
    lr_warm_up: Annotated[float, Opt("share of the steps before the peak; cosine after", 0, 1)] = (
        0.1
    )
    clip_norm: Annotated[float, Opt("longest gradient of one member", 0, open_low=True)] = 1.0
    patience: Annotated[int, Opt("epochs without a better validation loss before stopping", 1)] = 5
    hidden: Annotated[tuple[int, ...], Opt("widths of the hidden layers")] = (256, 64)
    members: Annotated[int, Opt("networks trained at once; their spread is reported", 1, 64)] = 1
    folds: Annotated[int, Opt("parts by prompt for out-of-fold nuisances", 2, 20)] = 5
    nuisance_epochs: Annotated[
        int | None,
        Opt("the same for nuisances; none: 5, up to 8 on few rows where they are the model", 1),
    ] = None
    nuisance_lr: Annotated[float, Opt("the same for nuisances", 0, open_low=True)] = 1e-3
    nuisance_width: Annotated[
        int,
        Opt("nuisances see this many leading directions of wider features; some see all, too", 1),
    ] = 256
    micro_batch: Annotated[int | None, Opt("rows a forward pass; the gradient is the same", 1)] = (
        None
    )
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], Opt("of the matrix products; weights are fp32")
    ] = "auto"
    device: Annotated[str, Opt("auto, cpu or cuda")] = "auto"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(self, "fit")
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"fit: option hidden takes widths of at least 1, not {self.hidden}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"fit: option device takes auto, cpu or cuda, not {self.device!r}")

    def place(self) -> torch.device:
        """The device to train on."""
        if self.device != "auto":
            if self.device.startswith("cuda") and not torch.cuda.is_available():
                raise UsageError("device=cuda was asked for and no GPU is here; use device=cpu")
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def dtype(self) -> torch.dtype:
        """bf16 where the hardware multiplies it natively (AMX, AVX512-BF16, GPU), else fp32."""
        if self.precision != "auto":
            return torch.bfloat16 if self.precision == "bf16" else torch.float32
        if self.place().type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
        return torch.bfloat16 if native else torch.float32


def passes(rows: int, width: int) -> int:
    """Epochs when none are given: 4 to 8 on wide features, up to four times as many on narrow ones.

    Wide features are memorised within a few passes; narrow ones need the steps.
    """
    wide = min(8.0, max(4.0, 25_000 / max(1, rows)))
    return round(wide * min(4.0, narrower(width, 1024)))


def narrower(width: int, than: int) -> float:
    """sqrt(than / width), at least 1: how far features are narrower than the defaults are made for."""
    return math.sqrt(max(1.0, than / max(1, width)))
