"""The keywords of `fit`, `fit_many` and `tune`, for type checkers and editors."""

from __future__ import annotations

from typing import Literal, TypedDict


class FitOptions(TypedDict, total=False):
    """Keywords of `fit`, `fit_many` and `tune`: the fields of `trueward.Train`, and ``preset``.

    Options of the method (``clip``, ``prior`` ...) are keywords, too. They depend on the method, so a type
    checker does not know them; `fit` and `tune` also take them as ``method_options={"clip": 0.05}``.

    Attributes
    ----------
    preset : str
        Named set of options of the method.

    """

    seed: int
    epochs: int | None
    batch_size: int | None
    lr: float | None
    weight_decay: float
    lr_warm_up: float
    clip_norm: float
    patience: int
    hidden: tuple[int, ...]
    members: int
    folds: int
    nuisance_epochs: int | None
    nuisance_lr: float
    nuisance_width: int
    micro_batch: int | None
    precision: Literal["auto", "fp32", "bf16"]
    users: Literal["auto", "on", "off"]
    device: str
    preset: str
