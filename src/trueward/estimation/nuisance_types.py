"""What a method may have estimated before its own fit: nuisances, numbers, transformations."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - fields are read at run time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import samplers
from .losses import bce
from .objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Columns, Feedback

Parameters = dict[str, "Tensor"]


class Nuisance(Objective):
    """L = mean over ``where`` of l(s, target): a supervised column of ``b.eta``, fitted out of fold."""

    name: str  # type: ignore[misc]
    target: Callable[..., Any]  # Feedback -> (n,) target in [0, 1]
    where: Callable[..., Any] = samplers.every  # Feedback -> row numbers that carry the target
    reads: str = "x"  # x, z, or xz: both, where the log has context
    views: Literal["leading", "both"] = (
        "leading"  # directions of wide features, or all of them, too
    )
    clip: float = 0.0  # probabilities are raised to this before use, and counted

    @property
    def heads(self) -> dict[str, str]:
        """One logit, of what it reads."""
        return {"reward": self.reads}

    def rows(self, data: Feedback) -> Tensor:
        """Rows that carry the target."""
        chosen: Tensor = self.where(data)
        return chosen

    def loss(self, out: Columns, b: Feedback) -> Tensor:
        """Cross-entropy of the target."""
        return bce(out.reward, self.target(b)).mean()


@dataclass(frozen=True)
class Derived:
    """Columns of ``b.eta`` computed from others, once.

    ``compute(train, seed)`` gives name -> a number for all rows, and a report with any warnings.
    """

    name: str
    columns: tuple[str, ...]
    compute: Callable[[Feedback, int], tuple[dict[str, float], dict[str, Any]]]


@dataclass(frozen=True)
class Computed:
    """Columns of ``b.eta`` that a fitted transformation gives row by row, features included.

    ``fit(train, val, seed)`` gives its parameters and a report; ``apply(parameters, rows)`` maps any rows
    to columns. With ``features`` x holds the standardised features of these rows, in their leading
    directions where they are wide.
    """

    name: str
    columns: tuple[str, ...]
    fit: Callable[[Feedback, Feedback, int], tuple[Parameters, dict[str, Any]]]
    apply: Callable[[Parameters, Feedback], dict[str, Tensor]]
    features: bool = False


Estimable = Nuisance | Derived | Computed
