"""Precomputed features: vectors from a file or an array, aligned with a log row by row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from trueward.core.arguments import PATH, TEXT, described, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log
from trueward.data.truth import Test

from .columns import to_feedback, to_labelled
from .experiment_files import Experiment, is_experiment, read_experiment
from .feature_files import check_finite, read_features, readable_file

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from trueward.data.feedback import Feedback, Labelled

    Source = str | os.PathLike[str] | np.ndarray[Any, Any] | Tensor


@overload
def precomputed(source: Source, table: Log, *, key: str | None = ...) -> Feedback: ...
@overload
def precomputed(source: Source, table: Test, *, key: str | None = ...) -> Labelled: ...
@overload
def precomputed(source: Source, table: None = ..., *, key: str | None = ...) -> Experiment: ...
def precomputed(
    source: Source, table: Log | Test | None = None, *, key: str | None = None
) -> Feedback | Labelled | Experiment:
    """Combine precomputed features with the rows of a log or a test, in their order.

    Parameters
    ----------
    source : str, path, ndarray or Tensor
        Features, (n, d): an array, or a ``.safetensors``, ``.npy``, ``.npz`` or ``.parquet`` file.
    table : Log, Test or None, default None
        Table of n rows. None reads a safetensors file that holds a whole experiment: ``X_train``,
        ``y_train_binary``, ``mask_train``, ``X_val``, ...
    key : str or None, default None
        Name of the tensor, array or column, if the file has several.

    Returns
    -------
    Feedback, Labelled or Experiment
        Feedback for a log, Labelled for a test, (train, val, test) for an experiment. Half precision
        is kept; other types become float32. ``backbone`` is None, so the model cannot score text.

    Raises
    ------
    UsageError
        If the file is absent or of an unsupported type, or the table in it is ambiguous.
    TruewardError
        If the number of rows differs from the table, or a feature is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> import polars as pl
    >>> import trueward as tw
    >>> rows = {"prompt": ["2 + 2?", "Hi"], "response": ["4", "Hello."], "feedback": [1, None]}
    >>> data = tw.precomputed(np.eye(2), tw.read_log(pl.DataFrame(rows)))
    >>> data.x
    tensor([[1., 0.],
            [0., 1.]])

    """
    require_kinds("precomputed", key=(key, TEXT.or_none))
    if not isinstance(source, np.ndarray | Tensor):
        require_kinds("precomputed", source=(source, PATH))
    if table is not None and not isinstance(table, Log | Test):
        raise UsageError(f"precomputed takes a Log or a Test as table, not {described(table)}")
    if table is None:
        if isinstance(source, np.ndarray | Tensor):
            raise UsageError(
                "features alone have no feedback: give the log or the test that they belong to"
            )
        with readable_file(Path(source)):
            return read_experiment(Path(source))
    if isinstance(source, np.ndarray | Tensor):
        x, name = torch.as_tensor(source), "the array"
    else:
        path, name = Path(source), str(source)
        with readable_file(path):
            x = read_features(path, key, lambda names: _refuse_experiment(names, path))
    x = _to_table(x, name)
    if len(x) != len(table):
        raise TruewardError(
            f"precomputed features need one row for each row of {table.source}, which has "
            f"{len(table)}, but {name} has {len(x)}: compute them from the same file, in its order"
        )
    check_finite(x, name)
    return to_feedback(table, x, None) if isinstance(table, Log) else to_labelled(table, x, None)


def _refuse_experiment(names: Sequence[str], path: Path) -> None:
    if is_experiment(names):
        raise UsageError(
            f"{path} contains its own feedback: read it with precomputed(path), without a log"
        )


def _to_table(x: Tensor, name: str) -> Tensor:
    if x.ndim != 2 or x.is_complex():
        raise TruewardError(
            f"features should be a table of numbers, rows by columns, but {name} has the shape "
            f"{tuple(x.shape)} of {str(x.dtype).removeprefix('torch.')}: reshape it"
        )
    floats = (torch.float16, torch.bfloat16, torch.float32)
    try:
        return x if x.dtype in floats else x.float()
    except RuntimeError as e:  # a type of torch that has no conversion
        raise TruewardError(
            f"features should be numbers, and {name} has {str(x.dtype).removeprefix('torch.')}: convert them"
        ) from e
