"""The safetensors layout of published experiments: features, feedback and truth in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import safe_open

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback, Labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

NEEDED = (
    *("X_train", "y_train_binary", "mask_train", "X_val", "y_val_binary", "mask_val"),
    *("X_test", "y_test_binary"),
)


class Experiment(NamedTuple):
    """What may be learned from, what may stop the learning, and the truth to evaluate on."""

    train: Feedback
    val: Feedback
    test: Labelled


def is_experiment(names: Sequence[str]) -> bool:
    """Say whether a file has this layout."""
    return {"X_train", "mask_train"} <= set(names)


def read_experiment(path: Path) -> Experiment:
    """Read (train, val, test) from a file with the keys of `NEEDED`.

    Where the mask is 0 these files keep the clean label: it is dropped here, so that Feedback holds
    nothing that a log would not show. `propensity_*` becomes eta.propensity, `y_test` the rating.
    The graded `y_train` and `y_val` are truth and are not read.
    """
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise TruewardError(
                f"an experiment needs {', '.join(NEEDED)}, but {path} lacks {', '.join(missing)} "
                f"and has {', '.join(sorted(names))}: for plain vectors give the log as well"
            )
        parts = {n: file.get_tensor(n) for n in sorted(names) if n not in {"y_train", "y_val"}}
    for part in ("train", "val", "test"):
        _aligned(parts, part, path)
        finite(parts[f"X_{part}"], f"X_{part} of {path}")
    rating = _column(parts["y_test"]) if "y_test" in parts else None
    truth = Labelled(parts["X_test"], _column(parts["y_test_binary"]), rating)
    return Experiment(_feedback(parts, "train"), _feedback(parts, "val"), truth)


def finite(x: Tensor, place: str) -> None:
    """Refuse numbers that are not finite, a few rows at a time: no second copy is made."""
    for start in range(0, len(x), 4096):
        bad = ~x[start : start + 4096].isfinite()
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            raise TruewardError(
                f"features must be finite numbers, and {place} has {float(x[start + row, column])} "
                f"in row {start + row + 1}, column {column + 1}: drop or repair that row"
            )


def _feedback(parts: dict[str, Tensor], part: str) -> Feedback:
    shown = (_column(parts[f"mask_{part}"]) > 0).float()
    said = _column(parts[f"y_{part}_binary"])
    logged = f"propensity_{part}"
    eta = Columns({"propensity": _column(parts[logged])} if logged in parts else {})
    return Feedback(parts[f"X_{part}"], torch.where(shown > 0, said, 0.0), o=shown, eta=eta)


def _aligned(parts: dict[str, Tensor], part: str, path: Path) -> None:
    """Refuse columns that have another number of rows, or labels and masks outside [0, 1]."""
    x = parts[f"X_{part}"]
    if x.ndim != 2:
        raise TruewardError(f"X_{part} of {path} should be a table, and has shape {tuple(x.shape)}")
    if x.shape[1] != parts["X_train"].shape[1]:
        raise TruewardError(
            f"X_{part} of {path} should have the {parts['X_train'].shape[1]} columns of X_train, "
            f"and has {x.shape[1]}"
        )
    for name in (f"y_{part}_binary", f"mask_{part}", f"propensity_{part}", f"y_{part}"):
        if name not in parts:
            continue
        column = _column(parts[name])
        if len(column) != len(x):
            raise TruewardError(
                f"{name} of {path} should have the {len(x)} rows of X_{part}, and has {len(column)}"
            )
        high = float("inf") if name == f"y_{part}" else 1.0
        wrong = ~(column.isfinite() & (column <= high) & ((column >= 0) | (high > 1)))
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise TruewardError(
                f"{name} of {path} should be a number{' in [0, 1]' if high == 1 else ''}, and is "
                f"{float(column[row])} in row {row + 1}"
            )


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1).float()
