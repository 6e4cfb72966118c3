"""One draw of a scenario: the log for training, the truth for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trueward.core.random import numpy_stream
from trueward.data.feedback import Feedback, Labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .entries import MethodEntry
    from .prepared import Prepared

    Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Truth:
    """True labels of n rows.

    Attributes
    ----------
    rows : array of int, shape (n,)
        Row numbers in the set.
    label, rating : Tensor, shape (n,)
        NaN where unknown.
    group : Tensor, shape (n,)
        Number of the prompt.
    weight : Tensor, shape (n,), or None
        Number of rows of the population that each row represents.

    """

    rows: Rows
    label: Tensor
    rating: Tensor
    group: Tensor
    weight: Tensor | None = None

    @property
    def share_good(self) -> float:
        """Mean label of the population; NaN where one is unknown."""
        w = torch.ones_like(self.label) if self.weight is None else self.weight
        return float((w.double() @ self.label.double()) / w.double().sum())

    def __getitem__(self, i: Tensor) -> Truth:
        """Return the rows ``i``."""
        weight = None if self.weight is None else self.weight[i]
        return Truth(self.rows[i.numpy()], self.label[i], self.rating[i], self.group[i], weight)

    def known(self) -> Truth:
        """Return the rows with a known rating."""
        return self[(~self.rating.isnan()).nonzero().squeeze(-1)]


@dataclass(frozen=True, eq=False)
class Draw:
    """A draw of a scenario, without features; they are read from the set when needed.

    Attributes
    ----------
    prepared : Prepared
        The set.
    train, val : Feedback
        The log: the only input of methods.
    rows_train, rows_val : array of int
        Row numbers in the set.
    truth_train, truth_val : Truth
        True labels of the log, for oracle and clean-mcar.
    test : Truth
        The test set, for the evaluation after a fit.
    known : dict
        rho_01, rho_10 and prior of the simulation; empty for a real log.
    propensity : tuple of two Tensors, or None
        True propensities of train and val; None for a real log.

    """

    prepared: Prepared
    train: Feedback
    val: Feedback
    rows_train: Rows
    rows_val: Rows
    truth_train: Truth
    truth_val: Truth
    test: Truth
    known: dict[str, Any]
    propensity: tuple[Tensor, Tensor] | None

    def feedback(self, *, known: bool = False) -> tuple[Feedback, Feedback]:
        """Return the log with features.

        Parameters
        ----------
        known : bool
            Add the true propensity of the simulation.

        Returns
        -------
        train, val : Feedback

        """
        parts = []
        for k, (data, rows) in enumerate(
            ((self.train, self.rows_train), (self.val, self.rows_val))
        ):
            eta = data.eta
            if known and self.propensity is not None:
                eta = eta | {"propensity": self.propensity[k]}
            parts.append(replace(data, x=self.prepared.features(rows), eta=eta))
        return parts[0], parts[1]

    def gold(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return (features, labels, weights) of the gold labels of the log."""
        parts = []
        for data, rows in ((self.train, self.rows_train), (self.val, self.rows_val)):
            known = data.audited
            label = torch.empty(0) if data.gold is None else data.gold[known]
            parts.append(
                (self.prepared.features(rows[known.numpy()]), label, data.label_weight[known])
            )
        x, label, weight = (torch.cat(column) for column in zip(*parts, strict=True))
        return x, label, weight

    def labelled(self, truth: Truth, subset: Rows | None = None) -> Labelled:
        """Return true labels with features.

        Parameters
        ----------
        truth : Truth
            The labels.
        subset : array of int, optional
            Positions in ``truth``. None: all.

        Returns
        -------
        Labelled

        """
        chosen = np.arange(len(truth.rows)) if subset is None else subset
        i = torch.from_numpy(chosen)
        x = self.prepared.features(truth.rows[chosen])
        spec = str(self.prepared.about["backbone"])
        part = truth[i]
        return Labelled(x, part.label, part.rating, part.group, spec, weight=part.weight)

    def clean(self, count: tuple[int, int] | None, seed: int) -> tuple[Labelled, Labelled]:
        """Return true labels (train, val).

        Parameters
        ----------
        count : tuple of two int, or None
            Numbers of labels, drawn at random; fewer if fewer are known. None: all.
        seed : int
            Seed of the draw.

        Returns
        -------
        train, val : Labelled

        """
        parts = []
        for k, truth in enumerate((self.truth_train, self.truth_val)):
            order = numpy_stream(seed, "clean-mcar", k).permutation(len(truth.rows))
            parts.append(
                self.labelled(truth, None if count is None else np.sort(order[: count[k]]))
            )
        return parts[0], parts[1]


def labels(data: Feedback | Labelled) -> int:
    """Return the number of training labels: ratings, clicks, or rows with a click in any channel.

    Parameters
    ----------
    data : Feedback or Labelled
        Training rows: a log, or true labels.

    Returns
    -------
    int
        Number of labels.

    """
    if isinstance(data, Labelled):
        return len(data)
    if data.o is not None:
        return int((data.o > 0).sum())
    clicked = data.y > 0
    for channel in data.channels.values():
        clicked = clicked | (channel.nan_to_num(0) > 0)
    return int(clicked.sum())


def options_of(entry: MethodEntry, draw: Draw) -> dict[str, Any] | str:
    """Return the options of a method, with the known nuisances of the simulation.

    Parameters
    ----------
    entry : MethodEntry
        The method.
    draw : Draw
        The draw.

    Returns
    -------
    dict or str
        The options, or the reason why the method is not applicable.

    """
    if entry.known and not draw.known:
        return "needs nuisances that only a simulation knows, and this log is real"
    filled = {k: draw.known[k] for k in entry.known if k != "propensity"}
    return {**entry.options, **filled}
