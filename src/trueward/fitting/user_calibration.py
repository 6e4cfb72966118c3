"""The rows of a log as input of intercepts of users, and calibration beside these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trueward.estimation.samplers import every, observed
from trueward.estimation.user_intercepts import UserIntercepts, UserRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    Array = NDArray[np.float64]

CALIBRATION_PRECISION = np.array([1e-6, 1.0])  # of offset and slope


@dataclass(frozen=True)
class UserCalibration:
    """Platt scaling beside intercepts of users: logit P(target) = slope v + offset + l_u.

    Attributes
    ----------
    slope, offset : float
        Of the logit of a typical user, l_u = 0; the slope is 0 where the logit carries no information.
    own : tuple of Tensor
        (n,) intercepts of the training rows' users, each estimated without the rows of its prompt, and
        (n_val,) those of the validation rows' users.
    tau : float
        Standard deviation of most intercepts.

    """

    slope: float
    offset: float
    own: tuple[Tensor, Tensor]
    tau: float

    @staticmethod
    def of(logit: Tensor, kind: str, train: Feedback, val: Feedback) -> UserCalibration:
        """Calibrate out-of-fold logits.

        Parameters
        ----------
        logit : Tensor, shape (n,)
            Out-of-fold logits of the training rows.
        kind : str
            ``ratings`` or ``reactions``.
        train, val : Feedback
            The rows.

        """
        rows, outcome = target_rows(kind, train)
        numbers = user_numbers(train, val)
        for centre in (1.0, 0.0):
            design = np.stack([np.ones(len(logit)), centre * logit.double().numpy()], 1)
            known = user_rows(train, numbers[0], design, outcome, rows)
            found = UserIntercepts.fit(known, CALIBRATION_PRECISION, np.array([0.0, centre]))
            if found.w[1] > 0:
                break
        prompt = np.arange(len(logit)) if train.group is None else train.group.cpu().numpy()
        values = [of_rows(found.intercept[:, None], n, train.y.cpu())[:, 0] for n in numbers]
        values[0][rows] = torch.from_numpy(found.without_own(known, prompt[rows.numpy()])).float()
        slope, offset = float(centre * found.w[1]), float(found.w[0])
        return UserCalibration(slope, offset, (values[0], values[1]), found.prior.tau)


def target_rows(kind: str, data: Feedback) -> tuple[Tensor, Tensor]:
    """Return the numbers of the rows where users do something, and what every row's user does.

    Parameters
    ----------
    kind : str
        ``ratings`` or ``reactions``.
    data : Feedback
        The rows.

    """
    return (observed(data), data.y) if kind == "ratings" else (every(data), data.seen)


def user_numbers(*splits: Feedback) -> list[NDArray[np.int64]]:
    """Number the users of all splits from 0; a negative id is an unknown user and stays -1.

    Parameters
    ----------
    *splits : Feedback
        Parts of one log.

    """
    ids = [d.user.cpu() for d in splits if d.user is not None]
    code = torch.unique(torch.cat([*ids, torch.tensor([-1])]).clamp(min=-1), return_inverse=True)[1]
    return [part.numpy() - 1 for part in code[:-1].split([len(i) for i in ids])]


def user_rows(
    data: Feedback, user: NDArray[np.int64], design: Array, outcome: Tensor, rows: Tensor
) -> UserRows:
    """Return some rows as input of `UserIntercepts`, with weights of mean 1.

    Parameters
    ----------
    data : Feedback
        The log of n rows.
    user : ndarray of int, shape (n,)
        Number of every row's user.
    design : ndarray, shape (n, p)
        Regressors of every row.
    outcome : Tensor, shape (n,)
        What every row's user does.
    rows : Tensor
        Numbers of the rows to take.

    """
    i = rows.cpu().numpy()
    weight = np.ones(len(i))
    if data.weight is not None and len(i):
        weight = data.weight.double().cpu().numpy()[i]
        weight = weight / weight.mean()
    count = int(user.max(initial=-1)) + 1
    return UserRows(design[i], outcome.double().cpu().numpy()[i], user[i], weight, count)


def of_rows(values: Array, user: NDArray[np.int64], like: Tensor) -> Tensor:
    """Return the (n, k) values of every row's user; 0 where it is unknown or has no value.

    Parameters
    ----------
    values : ndarray, shape (users, k)
        Values of every user.
    user : ndarray of int, shape (n,)
        Number of every row's user, or -1.
    like : Tensor
        Gives device and type.

    """
    known = (user >= 0) & (user < len(values))
    return torch.from_numpy(np.where(known[:, None], values[np.where(known, user, 0)], 0)).to(like)
