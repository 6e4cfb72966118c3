"""The ranking of a reward beside that of naive, on the ratings of the validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from trueward.core.influence import auroc_influence, clustered_error
from trueward.data.splits import prompt_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback


def beside_naive(reward: Tensor, naive: Tensor, val: Feedback) -> dict[str, Any] | None:
    """Compare two rankings of held-out rated responses by AUROC, with a paired 95 % interval.

    The difference of two means of placements (DeLong et al., Biometrics 1988), its error clustered by prompt.
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
    good = (val.y.cpu()[rows].numpy() > 0.5).astype(np.float64)
    group = prompt_numbers(len(val), val.group)[rows].numpy()
    _, unit = np.unique(group, return_inverse=True)
    count = len(np.unique(unit))
    if good.all() or not good.any() or count < 2:
        return None
    ours, theirs = (auroc_influence(v.double().cpu().numpy()[rows], good) for v in (reward, naive))
    error = clustered_error((ours.at(good) - theirs.at(good)) / len(good), unit, count)
    wide, difference = float(stdtrit(count - 1, 0.975)) * error, ours.theta - theirs.theta
    return {
        "rated": len(rows),
        "auroc": round(ours.theta, 4),
        "naive_auroc": round(theirs.theta, 4),
        "difference": round(difference, 4),
        "low": round(difference - wide, 4),
        "high": round(difference + wide, 4),
    }
