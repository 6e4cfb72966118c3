"""The one walk over a method's nuisances, from their values to columns of ``eta``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch

from trueward.data.feedback import Columns, Feedback
from trueward.estimation.nuisance_types import Computed, Nuisance
from trueward.estimation.nuisances import Clip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from trueward.estimation.nuisance_types import Derived, Estimable, Parameters

Splits = tuple[Feedback, ...]


class NuisanceValues(Protocol):
    """Gives the values of the nuisances that the rows lack: estimated, or those of a fitted model."""

    def probabilities(self, nuisance: Nuisance, splits: Splits) -> Sequence[Tensor]:
        """Return P(target), before clipping, of every split's rows, (n,) each."""

    def parameters(self, nuisance: Derived | Computed, splits: Splits) -> Parameters:
        """Return the parameters of a nuisance that is not a network."""

    def rows(self, nuisance: Computed, splits: Splits) -> Splits:
        """Return the splits with the features that ``nuisance`` reads."""


def fill_nuisances(
    nuisances: Sequence[Estimable],
    splits: Splits,
    values: NuisanceValues,
    *,
    apply_last: bool = True,
) -> Splits:
    """Add the columns of every nuisance to ``eta``, in order; a column that is there stays, clipped.

    Parameters
    ----------
    nuisances : sequence of Estimable
        The nuisances of a method.
    splits : tuple of Feedback
        Parts of a log, such as training and validation rows. All have the same columns.
    values : NuisanceValues
        Gives the values that the rows lack.
    apply_last : bool, default True
        Whether the last nuisance's columns are added, too; if False, only its parameters are computed.

    Returns
    -------
    tuple of Feedback
        The splits with the columns in ``eta``.

    """
    for nuisance in nuisances:
        columns: list[dict[str, Tensor]]
        if isinstance(nuisance, Nuisance):
            if nuisance.name in splits[0].eta:
                p = [rows.eta[nuisance.name] for rows in splits]
            else:
                p = list(values.probabilities(nuisance, splits))
            clip = Clip(nuisance.clip)
            columns = [{nuisance.name: clip(v) if nuisance.clip else v} for v in p]
        elif set(nuisance.columns) <= set(splits[0].eta):
            continue
        else:
            parameters = values.parameters(nuisance, splits)
            if nuisance is nuisances[-1] and not apply_last:
                break
            if isinstance(nuisance, Computed):
                inputs = values.rows(nuisance, splits)
                columns = [nuisance.apply(parameters, rows) for rows in inputs]
            else:
                columns = [_constant(parameters, rows) for rows in splits]
        splits = tuple(with_columns(d, c) for d, c in zip(splits, columns, strict=True))
    return splits


def with_columns(data: Feedback, columns: Mapping[str, Tensor]) -> Feedback:
    """Return the rows with columns added to ``eta``.

    Parameters
    ----------
    data : Feedback
        The rows.
    columns : mapping of str to Tensor
        (n,) columns by name.

    """
    return replace(data, eta=data.eta | Columns(columns))


def _constant(parameters: Parameters, rows: Feedback) -> dict[str, Tensor]:
    """One number for all rows."""
    return {k: torch.full_like(rows.y, float(v)) for k, v in parameters.items()}
