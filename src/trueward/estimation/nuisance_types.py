"""Nuisances: what is estimated before the reward is fitted, and then held fixed."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - fields are read at run time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from . import samplers
from .losses import bce, brier
from .objective import Objective
from .pair_losses import score_loss

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.comparisons import Pairs
    from trueward.data.feedback import Columns, Feedback

Parameters = dict[str, "Tensor"]


class Nuisance(Objective):
    """L = mean over ``where`` of v c(s, target): a probability that a network estimates out of fold.

    c is the cross-entropy l, or (sigmoid(s) - target)^2; v is 1, or 1 / (an earlier nuisance).

    Attributes
    ----------
    name : str
        Name of the column of ``b.eta``.
    target : callable
        Feedback -> (n,) target in [0, 1].
    where : callable
        Feedback -> numbers of the rows that carry the target.
    reads : {"x", "z", "xz"}
        Inputs of the network: features, context, or both where the log has context.
    views : {"leading", "both", "all"}
        Which features of wide ones: their leading directions, or these and, in a second network, all, or all
        in one network.
    cross_fit : bool
        Whether it is predicted out of fold. Otherwise one network is trained on all training rows, as a
        reward is, and nothing may be regressed on its predictions of these rows.
    clip : float
        Lower bound of the probability; the cross-fit raises smaller ones to it and counts them.
    of_users : {"", "ratings", "reactions"}
        What users do whose probability it is, so that intercepts of users may be estimated beside it. The
        probability is that of a typical user.
    average_user : bool
        Whether it is the mean probability over users instead, as inverse weights need it.
    squared : bool
        Whether the loss is the squared error of the probability, in the place of the cross-entropy.
    inverse : str
        Name of an earlier nuisance, clipped, whose inverse weights the rows; empty for weights of 1.
    pairs : str
        Source of comparisons whose score it is, in log-odds; empty for a probability of a target. ``target``
        is then not read.

    """

    name: str  # type: ignore[misc]
    target: Callable[..., Any]
    where: Callable[..., Any] = samplers.every
    reads: str = "x"
    views: Literal["leading", "both", "all"] = "leading"
    cross_fit: bool = True
    clip: float = 0.0
    of_users: Literal["", "ratings", "reactions"] = ""
    average_user: bool = False
    squared: bool = False
    inverse: str = ""
    pairs: str = ""

    @property
    def compares(self) -> bool:
        """Whether it is learned from comparisons."""
        return bool(self.pairs)

    def pairs_of(self, data: Feedback) -> Pairs | None:
        """Return the comparisons of its source."""
        return data.pairs.from_source(self.pairs) if self.pairs and data.pairs else None

    @property
    def users(self) -> str:
        """What users do whose probability it is."""
        return self.of_users

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column that it estimates."""
        return (self.name,)

    @property
    def heads(self) -> dict[str, str]:
        """One logit, of what it reads; of comparisons what the response shown first gains, too."""
        return {"reward": self.reads, **({"position": "one"} if self.pairs else {})}

    def rows(self, data: Feedback) -> Tensor:
        """Return the numbers of the rows that carry the target."""
        numbers: Tensor = self.where(data)
        return numbers

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Return the loss of the target, or the cross-entropy of the outcomes of comparisons."""
        if self.pairs:
            return score_loss(out.reward, out.position, self.pairs_of(b))
        cost = (brier if self.squared else bce)(out.reward, self.target(b))
        return (cost / b.eta[self.inverse] if self.inverse else cost).mean()


@dataclass(frozen=True)
class Derived:
    """Numbers computed once from the training rows and their other nuisances.

    Attributes
    ----------
    name : str
        Name in the report.
    columns : tuple of str
        Columns of ``b.eta``, each one number for all rows.
    compute : callable
        (training rows, seed) -> the number of every column, and a report with any ``warning``.

    """

    reads: ClassVar[str] = ""

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Feedback, int], tuple[dict[str, float], dict[str, Any]]]


@dataclass(frozen=True)
class Computed:
    """Columns that a fitted transformation gives row by row.

    Attributes
    ----------
    name : str
        Name in the report and of the saved parameters.
    columns : tuple of str
        Columns of ``b.eta``.
    fit : callable
        (training rows, validation rows, seed) -> parameters, and a report with any ``warning``.
    apply : callable
        (parameters, any rows) -> the columns of these rows.
    features : bool
        Whether it reads ``x``: the standardised features, in their leading directions if they are wide.

    """

    reads: ClassVar[str] = ""

    name: str
    columns: tuple[str, ...]
    fit: Callable[[Feedback, Feedback, int], tuple[Parameters, dict[str, Any]]]
    apply: Callable[[Parameters, Feedback], dict[str, Tensor]]
    features: bool = False


Estimable = Nuisance | Derived | Computed
