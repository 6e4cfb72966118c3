"""Read one table of features from a safetensors, NumPy or Parquet file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from safetensors import safe_open

from trueward.core.errors import TruewardError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

DEFAULT_KEYS = ("x", "X", "features", "embeddings", "vectors")  # if a file has several tables
FILE_TYPES = ".safetensors, .npy, .npz or .parquet"


def read_features(
    path: Path, key: str | None, check_names: Callable[[Sequence[str]], None]
) -> Tensor:
    """Read the table of features in a file; safetensors files are memory-mapped.

    Parameters
    ----------
    path : Path
        A ``.safetensors``, ``.npy``, ``.npz`` or ``.parquet`` file.
    key : str or None
        Name of the tensor, array or column. None selects the only one, or the only one with a usual
        name such as ``x`` or ``embeddings``. In Parquet, None also reads all numeric columns.
    check_names : callable
        Called with the names of the tensors in a safetensors file; may raise.

    Returns
    -------
    Tensor
        The table as it is in the file.

    Raises
    ------
    UsageError
        If the file type is unsupported or the table is ambiguous.
    TruewardError
        If the file has no table of numbers.

    """
    match path.suffix:
        case ".safetensors":
            with safe_open(path, "pt") as file:
                names = list(file.keys())
                check_names(names)
                tensor: Tensor = file.get_tensor(_select_key(names, key, path))
                return tensor
        case ".npy":
            with np.errstate(over="raise"):  # its header may lie
                return _tensor(np.lib.format.open_memmap(path, mode="r"))
        case ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return _tensor(arrays[_select_key(list(arrays), key, path)])
        case ".parquet":
            return _read_parquet(path, key)
    raise UsageError(
        f"precomputed features should be in a {FILE_TYPES} file, and {path} is none of these: convert it"
    )


@contextlib.contextmanager
def readable_file(path: Path) -> Iterator[None]:
    """Convert the errors of the reader libraries into one TruewardError that names the file.

    Parameters
    ----------
    path : Path
        File that is read inside the context.

    Raises
    ------
    UsageError
        If there is no such file.
    TruewardError
        If the file is damaged or of another type than its name says.

    """
    if not path.is_file():
        raise UsageError(f"there is no file {path} with precomputed features: check the path")
    try:
        yield
    except TruewardError:
        raise
    except FloatingPointError as e:
        raise TruewardError(
            f"{path} says that it holds more numbers than any file can: it is damaged, write it again"
        ) from e
    except MemoryError as e:
        raise TruewardError(
            f"{path} holds more than fits into the memory of this machine: give fewer rows"
        ) from e
    except Exception as e:  # damaged files raise whatever their bytes lead to
        reason = next(iter(str(e).splitlines()), "") or type(e).__name__
        raise TruewardError(
            f"{path} could not be read as {path.suffix} ({reason}): check that it is complete and of the "
            "type that its name says"
        ) from e


def check_finite(x: Tensor, source: str) -> None:
    """Check that all features are finite, in chunks, without a second copy.

    Parameters
    ----------
    x : Tensor, (n, d)
        Features.
    source : str
        Where they come from, for the message.

    Raises
    ------
    TruewardError
        With row and column of the first number that is not finite.

    """
    for start in range(0, len(x), 4096):
        bad = ~x[start : start + 4096].isfinite()
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            raise TruewardError(
                f"features should be finite numbers, and {source} has {float(x[start + row, column])} "
                f"in row {start + row + 1}, column {column + 1}: drop or repair that row"
            )


def _select_key(names: Sequence[str], key: str | None, path: Path) -> str:
    if key is not None and key in names:
        return key
    usual = [name for name in DEFAULT_KEYS if name in names]
    if key is None and (len(names) == 1 or len(usual) == 1):
        return names[0] if len(names) == 1 else usual[0]
    expected = "one table of features" if key is None else f"the table {key!r}"
    raise UsageError(
        f"{path} should have {expected}, and has {', '.join(sorted(names)) or 'nothing'}: "
        "choose one with key="
    )


def _read_parquet(path: Path, key: str | None) -> Tensor:
    """Read one column of lists, or all numeric columns."""
    schema: Mapping[str, pl.DataType] = pl.read_parquet_schema(path)
    lists = [name for name, dtype in schema.items() if isinstance(dtype, pl.List | pl.Array)]
    if lists or key is not None:
        name = _select_key(lists, key, path)
        return _from_lists(pl.read_parquet(path, columns=[name])[name], path)
    numeric = [name for name, dtype in schema.items() if dtype.is_numeric()]
    if not numeric:
        raise TruewardError(
            f"{path} should have a column of lists or numeric columns, and has "
            f"{', '.join(schema) or 'nothing'}: convert the features to one of these"
        )
    frame = pl.read_parquet(path, columns=numeric)
    for name in numeric:
        if frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0)
            raise _null_error(path, row, repr(name))
    return _tensor(frame.to_numpy())


def _from_lists(column: pl.Series, path: Path) -> Tensor:
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    size = column.list.len()
    width = size[0] if len(size) else 0
    wrong = (size != width).fill_null(value=True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise TruewardError(
            f"every vector should have the length of the first, {width}, but row {row + 1} of "
            f"{path}, column {column.name!r}, has {size[row]}: drop or repair that row"
        )
    flat = column.explode() if width else pl.Series([], dtype=pl.Float32)
    if flat.null_count():
        row, position = divmod(int(flat.is_null().arg_max() or 0), width)
        raise _null_error(path, row, str(position + 1))
    return _tensor(flat.to_numpy()).reshape(len(column), width)


def _null_error(path: Path, row: int, column: str) -> TruewardError:
    return TruewardError(
        f"features should be finite numbers, and {path} has null in row {row + 1}, column {column}: "
        "drop or repair that row"
    )


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise TruewardError(f"features should be numbers, and are {array.dtype}: convert them")
    return torch.from_numpy(array if array.flags.writeable else array.copy())
