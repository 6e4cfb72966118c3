"""Vectors made elsewhere, aligned with a log by row, and files that carry a whole experiment."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log import Log, Test

from .columns import feedback_of, labelled_of
from .experiment import Experiment, finite, is_experiment, read_experiment

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from trueward.data.feedback import Feedback, Labelled

    Source = str | os.PathLike[str] | np.ndarray[Any, Any] | Tensor

NAMES = ("x", "X", "features", "embeddings", "vectors")  # taken when a file has several tables
KINDS = ".safetensors, .npy, .npz or .parquet"


@overload
def precomputed(source: Source, table: Log, *, key: str | None = ...) -> Feedback: ...
@overload
def precomputed(source: Source, table: Test, *, key: str | None = ...) -> Labelled: ...
@overload
def precomputed(source: Source, table: None = ..., *, key: str | None = ...) -> Experiment: ...
def precomputed(
    source: Source, table: Log | Test | None = None, *, key: str | None = None
) -> Feedback | Labelled | Experiment:
    """Join vectors from a file or an array with the rows of a log or a test, in their order.

    key: the table or column to take when there are several. Without ``table``, ``source`` is a
    safetensors file with X_train, y_train_binary, mask_train, X_val, ..., and the result is
    (train, val, test). Half precision stays as it is; float64 becomes float32.
    """
    if table is None:
        if isinstance(source, np.ndarray | Tensor):
            raise UsageError(
                "vectors alone have no feedback: give the log or the test that they belong to"
            )
        with _opened(Path(source)):
            return read_experiment(Path(source))
    if isinstance(source, np.ndarray | Tensor):
        x, place = torch.as_tensor(source), "the array"
    else:
        with _opened(Path(source)):
            x, place = _read(Path(source), key), str(source)
    x = _table(x, place)
    if len(x) != len(table):
        raise TruewardError(
            f"precomputed features need one row for each row of {table.source}, which has "
            f"{len(table)}, but {place} has {len(x)}: make them from the same file, in its order"
        )
    finite(x, place)
    return feedback_of(table, x, None) if isinstance(table, Log) else labelled_of(table, x, None)


def _table(x: Tensor, place: str) -> Tensor:
    if x.ndim != 2 or x.is_complex():
        raise TruewardError(
            f"features should be a table of numbers, rows by columns, but {place} has the shape "
            f"{tuple(x.shape)} of {str(x.dtype).removeprefix('torch.')}"
        )
    kept = (torch.float16, torch.bfloat16, torch.float32)
    return x if x.dtype in kept else x.float()


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    """Turn what a reader says of a bad file into one sentence."""
    if not path.is_file():
        raise UsageError(f"there is no file {path} with precomputed features: check the path")
    try:
        yield
    except TruewardError:
        raise
    except (OSError, EOFError, ValueError, SafetensorError, zipfile.BadZipFile) as e:
        raise _unreadable(path, e) from e
    except pl.exceptions.PolarsError as e:
        raise _unreadable(path, e) from e


def _unreadable(path: Path, e: Exception) -> TruewardError:
    return TruewardError(
        f"{path} could not be read as {path.suffix} ({str(e).splitlines()[0]}): check that it is "
        "complete and is what its name says"
    )


def _read(path: Path, key: str | None) -> Tensor:
    """Read the table of a file; safetensors are mapped, so that they are in memory once."""
    match path.suffix:
        case ".safetensors":
            with safe_open(path, "pt") as file:
                names = list(file.keys())
                if is_experiment(names):
                    raise UsageError(
                        f"{path} carries its own feedback: read it with precomputed(path), "
                        "without a log"
                    )
                tensor: Tensor = file.get_tensor(_chosen(names, key, path))
                return tensor
        case ".npy":
            return _tensor(np.load(path, allow_pickle=False))
        case ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return _tensor(arrays[_chosen(list(arrays), key, path)])
        case ".parquet":
            return _parquet(path, key)
    raise UsageError(
        f"precomputed features come from {KINDS}, and {path} is none of these: convert it"
    )


def _chosen(names: Sequence[str], key: str | None, path: Path) -> str:
    if key is not None and key in names:
        return key
    usual = [name for name in NAMES if name in names]
    if key is None and (len(names) == 1 or len(usual) == 1):
        return names[0] if len(names) == 1 else usual[0]
    wanted = "one table of features" if key is None else f"the table {key!r}"
    raise UsageError(
        f"{path} should have {wanted}, and has {', '.join(sorted(names)) or 'nothing'}: "
        "say which by key="
    )


def _parquet(path: Path, key: str | None) -> Tensor:
    """Read one column of lists, or all columns of numbers."""
    schema: Mapping[str, pl.DataType] = pl.read_parquet_schema(path)
    lists = [name for name, kind in schema.items() if isinstance(kind, pl.List | pl.Array)]
    if lists or key is not None:
        name = _chosen(lists, key, path)
        column = pl.read_parquet(path, columns=[name])[name]
        return _lists(column, path)
    numbers = [name for name, kind in schema.items() if kind.is_numeric()]
    if not numbers:
        raise TruewardError(
            f"{path} should have a column of lists or columns of numbers, and has "
            f"{', '.join(schema) or 'nothing'}"
        )
    frame = pl.read_parquet(path, columns=numbers)
    for name in numbers:
        if frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0)
            raise TruewardError(
                f"features must be finite numbers, and {path} has null in row {row + 1}, column "
                f"{name!r}: drop or repair that row"
            )
    return _tensor(frame.to_numpy())


def _lists(column: pl.Series, path: Path) -> Tensor:
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    size = column.list.len()
    width = size[0] if len(size) else 0
    wrong = (size != width).fill_null(value=True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise TruewardError(
            f"every vector should have the length of the first, {width}, but row {row + 1} of "
            f"{path}, column {column.name!r}, has {size[row]}"
        )
    flat = column.explode() if width else pl.Series([], dtype=pl.Float32)
    if flat.null_count():
        row, place = divmod(int(flat.is_null().arg_max() or 0), width)
        raise TruewardError(
            f"features must be finite numbers, and {path} has null in row {row + 1}, column "
            f"{place + 1}: drop or repair that row"
        )
    return _tensor(flat.to_numpy()).reshape(len(column), width)


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise TruewardError(f"features should be numbers, and are {array.dtype}: convert them")
    return torch.from_numpy(array if array.flags.writeable else array.copy())
