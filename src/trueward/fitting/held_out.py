"""The ranking of a reward beside that of naive, on the ratings of the validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from trueward.data.splits import prompt_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]


def beside_naive(reward: Tensor, naive: Tensor, val: Feedback) -> dict[str, Any] | None:
    """Compare two rankings of held-out rated responses by AUROC, with a paired 95 % interval.

    The difference is a mean of placements (DeLong et al., Biometrics 1988), its error clustered by prompt.
    The ratings have the selection of the log: this compares rankings among rated responses, not levels.

    Parameters
    ----------
    reward, naive : Tensor, shape (n,)
        Logits of the model and of naive.
    val : Feedback
        The n validation rows.

    Returns
    -------
    dict or None
        ``rated``, ``auroc``, ``naive_auroc``, ``difference``, ``low`` and ``high``; None where the rated rows
        are of one class, or of fewer than two prompts.

    """
    rows = (val.seen > 0).nonzero().squeeze(-1).cpu()
    good = val.y.cpu()[rows].numpy() > 0.5
    group = prompt_numbers(len(val), val.group)[rows].numpy()
    _, unit = np.unique(group, return_inverse=True)
    count = len(np.unique(unit))
    if good.all() or not good.any() or count < 2:
        return None
    ours, theirs = (_placements(v.double().cpu().numpy()[rows], good) for v in (reward, naive))
    auroc, naive_auroc = (float(v[good].mean()) for v in (ours, theirs))
    gap = ours - theirs
    gap = np.where(
        good, (gap - gap[good].mean()) / good.sum(), (gap - gap[~good].mean()) / (~good).sum()
    )
    error = float(np.sqrt(np.square(np.bincount(unit, gap)).sum() * count / (count - 1)))
    wide, difference = float(stdtrit(count - 1, 0.975)) * error, auroc - naive_auroc
    return {
        "rated": len(rows),
        "auroc": round(auroc, 4),
        "naive_auroc": round(naive_auroc, 4),
        "difference": round(difference, 4),
        "low": round(difference - wide, 4),
        "high": round(difference + wide, 4),
    }


def _placements(score: Array, good: NDArray[np.bool_]) -> Array:
    """Share of the other class that a row is on the right side of, a tie counting half."""
    rank = rankdata(score)
    place = np.empty(len(score))
    place[good] = (rank[good] - rankdata(score[good])) / (~good).sum()
    place[~good] = 1 - (rank[~good] - rankdata(score[~good])) / good.sum()
    return place
