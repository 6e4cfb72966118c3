"""Training settings, and their defaults where none are given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal

import torch

from trueward.core.errors import UsageError
from trueward.core.options import Opt, check_values


@dataclass(frozen=True, kw_only=True)
class Train:
    """Training settings of all networks: the reward's and those of its nuisances.

    Every field is an option of ``trueward fit`` (``-o NAME=VALUE``) and a keyword of `fit`, `fit_many`
    and `tune`.

    Parameters
    ----------
    seed : int, default 0
        Root of all random streams.
    epochs : int or None, default None
        Largest number of epochs. None: 4 to 8, and up to four times as many on fewer than 1024 features.
    batch_size : int or None, default None
        Rows in a batch. None: a 12th of the rows, between 64 and 1024.
    lr : float or None, default None
        Peak learning rate of AdamW. None: 3e-4, times sqrt(1024 / d) on d < 1024 features.
    weight_decay : float, default 0.01
        Weight decay of AdamW.
    lr_warm_up : float, default 0.1
        Fraction of the steps with a linearly rising learning rate; a cosine decay follows.
    clip_norm : float, default 1.0
        Largest gradient norm of one ensemble member.
    patience : int, default 5
        Epochs without a lower validation loss before early stopping.
    hidden : tuple of int, default (256, 64)
        Widths of the hidden layers.
    members : int, default 1
        Size of the ensemble. The members' spread is reported.
    folds : int, default 5
        Folds for out-of-fold nuisances, by prompt, and by user where users share few prompts.
    nuisance_epochs : int or None, default None
        Largest number of epochs of a nuisance. None: 5, and up to 8 on few rows where the reward is
        composed of the nuisances.
    nuisance_lr : float, default 1e-3
        Peak learning rate of a nuisance.
    nuisance_width : int, default 256
        Principal directions that nuisances read of wider features; some read all features, too.
    micro_batch : int or None, default None
        Rows in one forward pass; None: the whole batch. The gradient is the same.
    precision : {'auto', 'fp32', 'bf16'}, default 'auto'
        Precision of the matrix products. Weights are fp32.
    users : {'auto', 'on', 'off'}, default 'auto'
        Intercepts of users in what they say and in who reacts. ``auto``: where the log has user ids and the
        evidence says that users differ.
    device : str, default 'auto'
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    UsageError
        If an option is out of its range.

    Examples
    --------
    >>> from trueward import Train
    >>> Train(epochs=3, hidden=(64,)).patience
    5

    """

    seed: Annotated[int, Opt("root of all random streams", 0)] = 0
    epochs: Annotated[
        int | None,
        Opt("largest number of epochs; none: 4 to 8, more on fewer than 1024 features", 1),
    ] = None
    batch_size: Annotated[
        int | None, Opt("rows in a batch; none: a 12th of the rows, between 64 and 1024", 1)
    ] = None
    lr: Annotated[
        float | None,
        Opt(
            "peak learning rate of AdamW; none: 3e-4, times sqrt(1024/d) below 1024 features",
            0,
            open_low=True,
        ),
    ] = None
    weight_decay: Annotated[float, Opt("weight decay of AdamW", 0)] = 0.01
    lr_warm_up: Annotated[
        float, Opt("fraction of the steps with a rising learning rate; cosine decay after", 0, 1)
    ] = 0.1
    clip_norm: Annotated[
        float, Opt("largest gradient norm of one ensemble member", 0, open_low=True)
    ] = 1.0
    patience: Annotated[
        int, Opt("epochs without a lower validation loss before early stopping", 1)
    ] = 5
    hidden: Annotated[tuple[int, ...], Opt("widths of the hidden layers")] = (256, 64)
    members: Annotated[int, Opt("ensemble size; the members' spread is reported", 1, 64)] = 1
    folds: Annotated[int, Opt("folds, by prompt, for out-of-fold nuisances", 2, 20)] = 5
    nuisance_epochs: Annotated[
        int | None,
        Opt(
            "epochs of a nuisance; none: 5, up to 8 on few rows where nuisances make up the reward",
            1,
        ),
    ] = None
    nuisance_lr: Annotated[float, Opt("peak learning rate of a nuisance", 0, open_low=True)] = 1e-3
    nuisance_width: Annotated[
        int,
        Opt(
            "principal directions that nuisances read of wider features; some read all features too",
            1,
        ),
    ] = 256
    micro_batch: Annotated[
        int | None, Opt("rows in one forward pass; the gradient is the same", 1)
    ] = None
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Opt("precision of the matrix products; weights are fp32"),
    ] = "auto"
    users: Annotated[
        Literal["auto", "on", "off"],
        Opt("intercepts of users; auto: where the evidence says that users differ"),
    ] = "auto"
    device: Annotated[str, Opt("auto, cpu or cuda")] = "auto"

    def __post_init__(self) -> None:
        """Check every field against its range."""
        check_values(self, "fit")
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"fit: option hidden takes widths of at least 1, not {self.hidden}")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"fit: option device takes auto, cpu or cuda, not {self.device!r}")

    def torch_device(self) -> torch.device:
        """Return the device to train on.

        Raises
        ------
        UsageError
            If a GPU is requested and none is found.

        """
        if self.device != "auto":
            if self.device.startswith("cuda") and not torch.cuda.is_available():
                raise UsageError(
                    f"device={self.device} needs a GPU, and this machine has none: use device=cpu"
                )
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def dtype(self) -> torch.dtype:
        """Return bf16 where the hardware multiplies it natively (AMX, AVX512-BF16, GPU), else fp32."""
        if self.precision != "auto":
            return torch.bfloat16 if self.precision == "bf16" else torch.float32
        if self.torch_device().type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001
        return torch.bfloat16 if native else torch.float32


def default_epochs(rows: int, width: int) -> int:
    """Return the number of epochs where none is given: 4 to 8, up to four times as many on narrow features.

    A network memorises wide features within a few epochs; on narrow features it needs the steps.

    Parameters
    ----------
    rows : int
        Number of training rows.
    width : int
        Number of features.

    """
    wide = min(8.0, max(4.0, 25_000 / max(1, rows)))
    return round(wide * min(4.0, width_factor(width, 1024)))


def width_factor(width: int, reference: int) -> float:
    """Return sqrt(reference / width), at least 1: the factor of defaults made for ``reference`` features.

    Parameters
    ----------
    width : int
        Number of features.
    reference : int
        Number of features that the defaults are made for.

    """
    return math.sqrt(max(1.0, reference / max(1, width)))
