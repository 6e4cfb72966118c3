"""Tables of the library as those of pandas and `datasets`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, missing_extra

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a frame as a ``pandas.DataFrame``.

    Parameters
    ----------
    frame : polars.DataFrame
        The frame.

    Returns
    -------
    pandas.DataFrame
        The same rows; null is NaN, or None in a column of texts.

    Raises
    ------
    TruewardError
        If pandas is not installed.

    """
    try:
        importlib.import_module("pandas")
    except ImportError:
        raise TruewardError(
            "a pandas table needs pandas, which is not installed: pip install pandas"
        ) from None
    return frame.to_pandas()


def to_dataset(frame: pl.DataFrame) -> Any:
    """Return a frame as a ``datasets.Dataset``.

    Parameters
    ----------
    frame : polars.DataFrame
        The frame.

    Returns
    -------
    datasets.Dataset
        The same rows.

    Raises
    ------
    TruewardError
        If `datasets` is not installed.

    """
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError:
        raise missing_extra("a table of datasets", "datasets", "rlhf") from None
    return datasets.Dataset.from_polars(frame)
