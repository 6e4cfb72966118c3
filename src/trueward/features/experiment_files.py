"""Read published experiments: features, feedback and labels in one safetensors file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors import safe_open

from trueward.core.errors import TruewardError
from trueward.data.feedback import Columns, Feedback, Labelled

from .feature_files import check_finite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

REQUIRED = (
    *("X_train", "y_train_binary", "mask_train", "X_val", "y_val_binary", "mask_val"),
    *("X_test", "y_test_binary"),
)


class Experiment(NamedTuple):
    """Feedback for training and validation, and labels for evaluation."""

    #: feedback of the training rows
    train: Feedback
    #: feedback of the validation rows, for early stopping
    val: Feedback
    #: labels of the test rows
    test: Labelled


def is_experiment(names: Sequence[str]) -> bool:
    """Return whether tensors with these names are an experiment.

    Parameters
    ----------
    names : sequence of str
        Names of the tensors in a file.

    Returns
    -------
    bool
        Whether ``X_train`` and ``mask_train`` are among them.

    """
    return {"X_train", "mask_train"} <= set(names)


def read_experiment(path: Path) -> Experiment:
    """Read the training, validation and test data of an experiment.

    These files hold the clean label even where the mask is 0. Such labels are replaced with 0, so that
    Feedback holds nothing that a log would not show. ``propensity_*`` becomes ``eta.propensity`` and
    ``y_test`` the rating. The graded ``y_train`` and ``y_val`` are labels and are not read.

    Parameters
    ----------
    path : Path
        Safetensors file with X, y_binary and mask of train and val, X and y_binary of test.

    Returns
    -------
    Experiment

    Raises
    ------
    TruewardError
        If a tensor is missing, has another number of rows, or has invalid values.

    """
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise TruewardError(
                f"an experiment needs {', '.join(REQUIRED)}, but {path} lacks {', '.join(missing)} "
                f"and has {', '.join(sorted(names))}: for plain vectors give the log as well"
            )
        tensors = {n: file.get_tensor(n) for n in sorted(names) if n not in {"y_train", "y_val"}}
    for split in ("train", "val", "test"):
        _check_split(tensors, split, path)
        check_finite(tensors[f"X_{split}"], f"X_{split} of {path}")
    rating = _column(tensors["y_test"]) if "y_test" in tensors else None
    test = Labelled(tensors["X_test"], _column(tensors["y_test_binary"]), rating)
    return Experiment(_feedback(tensors, "train"), _feedback(tensors, "val"), test)


def _feedback(tensors: dict[str, Tensor], split: str) -> Feedback:
    observed = (_column(tensors[f"mask_{split}"]) > 0).float()
    label = _column(tensors[f"y_{split}_binary"])
    name = f"propensity_{split}"
    eta = Columns({"propensity": _column(tensors[name])} if name in tensors else {})
    y = torch.where(observed > 0, label, 0.0)
    return Feedback(tensors[f"X_{split}"], y, o=observed, eta=eta)


def _check_split(tensors: dict[str, Tensor], split: str, path: Path) -> None:
    """Check that the tensors of a split have equal length, and labels and masks are in [0, 1]."""
    x = tensors[f"X_{split}"]
    if x.ndim != 2:
        raise TruewardError(
            f"X_{split} of {path} should be a table, rows by columns, and has shape {tuple(x.shape)}"
        )
    if x.shape[1] != tensors["X_train"].shape[1]:
        raise TruewardError(
            f"X_{split} of {path} should have the {tensors['X_train'].shape[1]} columns of X_train, "
            f"and has {x.shape[1]}"
        )
    for name in (f"y_{split}_binary", f"mask_{split}", f"propensity_{split}", f"y_{split}"):
        if name in tensors:
            graded = name == f"y_{split}"
            _check_column(_column(tensors[name]), f"{name} of {path}", split, len(x), graded=graded)


def _check_column(column: Tensor, name: str, split: str, rows: int, *, graded: bool) -> None:
    """Check the length of a column and that it is finite, and in [0, 1] unless it is graded."""
    if len(column) != rows:
        raise TruewardError(
            f"{name} should have the {rows} rows of X_{split}, and has {len(column)}"
        )
    valid = column.isfinite() & (graded | ((column >= 0) & (column <= 1)))
    if not valid.all():
        row = int((~valid).nonzero()[0])
        raise TruewardError(
            f"{name} should be a {'number' if graded else 'number in [0, 1]'}, and is "
            f"{float(column[row])} in row {row + 1}"
        )


def _column(values: Tensor) -> Tensor:
    return values.reshape(-1).float()
