"""Plan an audit: how many gold labels it needs, and which responses to label next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.errors import UsageError
from trueward.core.random import torch_stream
from trueward.estimation.gold_regression import FEWEST_GOLD

from .audit import audit_rows
from .influence_functions import INFLUENCE_FUNCTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel


@dataclass(frozen=True)
class Plan:
    """Number of gold labels that an interval needs, and the responses to label next.

    See Also
    --------
    plan : Computes it.

    """

    #: Metric of the audit.
    metric: str
    #: Wanted width of its 95 % interval, in units of the metric.
    width: float
    #: Gold labels that the log has.
    now: int
    #: Gold labels that are needed in all.
    needed: int
    #: (needed - now,) row numbers of the responses to label, drawn uniformly from those without a label.
    rows: Tensor

    def __str__(self) -> str:
        """Format the plan as a sentence."""
        more = f"label {len(self.rows)} more" if len(self.rows) else "that is enough"
        return (
            f"a 95 % interval of {self.metric} of width {self.width:g} needs about {self.needed} gold "
            f"labels; the log has {self.now}: {more}"
        )


def plan(model: RewardModel, log: Feedback, metric: str, width: float, *, seed: int = 0) -> Plan:
    """Compute how many gold labels an audit needs, and draw the responses to label next.

    n = N v / (N + v) with v = V (2 * 1.96 / width)^2, for N logged rows. V is the variance of one
    label's contribution at the best lambda, estimated by an audit with the present gold labels. Without
    any, it assumes that the model's P(preferred) is calibrated.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    log : Feedback
        The log whose responses are to be audited.
    metric : str
        ``auroc``, ``r2``, ``brier``, ``nll``, ``accuracy``, ``bias`` or ``good``.
    width : float
        Wanted width of the 95 % interval over the draw of gold rows, in (0, 1).
    seed : int, default 0
        Seed of the draw, and of the folds of the audit.

    Returns
    -------
    Plan
        With a uniform draw of responses, as an audit needs it.

    Raises
    ------
    UsageError
        If the metric is not one of these, or the width is not in (0, 1).

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] + torch.randn(400, generator=g) > 0).float()
    >>> log = tw.Feedback(x, r, torch.ones(400), group=torch.arange(400) // 4)
    >>> todo = tw.plan(tw.fit("naive", *log.split(0.2), epochs=2), log, "accuracy", 0.1)
    >>> len(todo.rows) == todo.needed - todo.now
    True

    """
    if metric not in INFLUENCE_FUNCTIONS:
        raise UsageError(f"a plan is for one of {', '.join(INFLUENCE_FUNCTIONS)}, not {metric!r}")
    if not 0 < width < 1:
        raise UsageError(f"the width of an interval lies between 0 and 1, and is {width:g}")
    rows, _ = audit_rows(model, log, future=False, seed=seed)
    v, n = rows.variance(metric) * (2 * 1.96 / width) ** 2, len(log)
    needed = max(FEWEST_GOLD, math.ceil(n * v / (n + v)))
    rest = torch.from_numpy(np.flatnonzero(~rows.known))
    order = torch.randperm(len(rest), generator=torch_stream(seed, "plan"))
    now = int(rows.known.sum())
    return Plan(metric, width, now, needed, rest[order[: max(0, needed - now)]])
