"""A log that was checked for a method: on the device, standardised, with a fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from trueward.data.feedback import Columns
from trueward.data.row_order import ReorderedRows, row_digests
from trueward.training.preprocessing import InputTransform
from trueward.training.problem import TrainingProblem, without_features

from .checks import check_splits, require_capabilities, require_finite
from .crossfit import CrossFitData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.data.feedback import Feedback, Labelled
    from trueward.estimation.method import Method
    from trueward.training.config import Train

    from .out_of_fold import OutOfFoldNuisances


@dataclass(frozen=True)
class PreparedLog:
    """Training and validation rows that support a method.

    Attributes
    ----------
    train, val : Feedback
        The rows in canonical order (`trueward.data.row_order`), on the device.
    transform : InputTransform
        Standardisation, estimated from the training rows.
    fingerprint : str
        Hash of all columns.

    """

    train: Feedback
    val: Feedback
    transform: InputTransform
    fingerprint: str

    @staticmethod
    def of(
        method: Method, train: Feedback | Labelled, val: Feedback | Labelled, cfg: Train
    ) -> PreparedLog:
        """Check the rows against the method, and estimate the standardisation.

        Parameters
        ----------
        method : Method
            The method to fit.
        train, val : Feedback or Labelled
            Training and validation rows.
        cfg : Train
            Settings; they choose device and precision.

        Raises
        ------
        TruewardError
            If the rows do not support the method, or hold values that are not finite.

        """
        splits = check_splits(method, train, val, cfg)
        digests = [row_digests(d.x) for d in splits]
        names = ("training", "validation")
        for data, digest, name in zip(splits, digests, names, strict=True):
            require_finite(data, digest, name)
        ordered = [in_row_order(d, v) for d, v in zip(splits, digests, strict=True)]
        (rows, order), (held, held_order) = ordered
        transform = InputTransform.fit(rows, cfg.dtype())
        digests = [digests[0][order], digests[1][held_order]]
        return PreparedLog(rows, held, transform, fingerprint((rows, held), digests))

    def with_features(
        self, train: Tensor, val: Tensor, backbone: str, dtype: torch.dtype
    ) -> PreparedLog:
        """Return the same rows with other features.

        Parameters
        ----------
        train, val : Tensor
            (n, d) features of the training and validation rows, in canonical order.
        backbone : str
            JSON description of the backbone that made them.
        dtype : torch.dtype
            Dtype of the network inputs.

        """
        device = self.train.y.device
        splits = tuple(
            dataclasses.replace(d, x=x.to(device), backbone=backbone)
            for d, x in ((self.train, train), (self.val, val))
        )
        transform = InputTransform.fit(splits[0], dtype)
        return dataclasses.replace(self, train=splits[0], val=splits[1], transform=transform)

    def require(self, method: Method) -> None:
        """Refuse another method that these rows do not support; see `require_capabilities`."""
        require_capabilities(method, self.train, self.val)

    def cross_fit_data(self, cfg: Train) -> CrossFitData:
        """Return what nuisances are fitted on, with these settings."""
        return CrossFitData(self.train, self.val, self.transform, cfg)

    def problem(self, method: Method, nuisances: OutOfFoldNuisances) -> TrainingProblem:
        """Pose the training problem of the reward, with the nuisances as columns of ``eta``.

        Parameters
        ----------
        method : Method
            The method to fit.
        nuisances : OutOfFoldNuisances
            Its nuisances.

        """
        train = dataclasses.replace(self.train, eta=nuisances.train)
        val = dataclasses.replace(self.val, eta=nuisances.val)
        return TrainingProblem.on_features("reward", method, train, val, self.transform)


def in_row_order(data: Feedback, digest: Tensor) -> tuple[Feedback, Tensor]:
    """Return the rows in canonical order, and that order.

    The features are not copied: where the rows stand in another order, ``x`` is a `ReorderedRows`.

    Parameters
    ----------
    data : Feedback
        The n rows.
    digest : Tensor
        (n,) their `row_digests`.

    Returns
    -------
    rows : Feedback
        The columns in canonical order.
    order : Tensor
        (n,) row of ``data`` at every place.

    """
    order = data.row_order(digest)
    if data.pairs is not None:
        ordered, order = _in_order(data, order)
        assert ordered.pairs is not None
        return dataclasses.replace(ordered, pairs=ordered.pairs.canonical()), order
    return _in_order(data, order)


def _in_order(data: Feedback, order: Tensor) -> tuple[Feedback, Tensor]:
    """Return the rows in an order, and that order; the features are not copied."""
    if torch.equal(order, torch.arange(len(order))):
        return data, order
    ordered = without_features(data)[order.to(data.y.device)]
    vars(ordered)["x"] = cast("Tensor", ReorderedRows.of(data.x, order))
    return ordered, order


def fingerprint(splits: Sequence[Feedback], digests: Sequence[Tensor]) -> str:
    """Hash every column by name; the features by a digest of every row and 256 whole rows.

    Parameters
    ----------
    splits : sequence of Feedback
        Parts of a log.
    digests : sequence of Tensor
        (n,) `row_digests` of each part.

    Returns
    -------
    str
        SHA-256, hexadecimal.

    """
    digest = hashlib.sha256()
    for data, rows in zip(splits, digests, strict=True):
        some = torch.linspace(0, max(0, len(data) - 1), min(256, len(data))).long()
        columns = {"rows": data.x[some], "digests": rows}
        for f in dataclasses.fields(data):
            value = getattr(data, f.name)
            if f.name != "x":
                values = value if isinstance(value, Columns) else {f.name: value}
                columns |= {f"{f.name}.{k}": v for k, v in values.items() if torch.is_tensor(v)}
        if data.pairs is not None:
            columns |= {f"pairs.{k}": v for k, v in data.pairs.columns().items()}
        for name, column in columns.items():
            digest.update(f"{name} {tuple(column.shape)} {column.dtype}".encode())
            digest.update(column.double().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
