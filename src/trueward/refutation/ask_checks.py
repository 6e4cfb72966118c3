"""A check that a lottery of asks makes possible: whether who reacts depends on how good a response is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import stdtr, stdtrit

from trueward.core.influence import clustered_error
from trueward.core.random import stream_seed, torch_stream
from trueward.data.capabilities import LogCapabilities
from trueward.data.lottery_arms import arms
from trueward.data.splits import fold_of, prompt_numbers
from trueward.estimation.gold_regression import gold_coefficients
from trueward.estimation.regression_design import design, scaling
from trueward.estimation.ridge_logistic import CoefficientPrior, RegressionData, out_of_fold
from trueward.training.preprocessing import Standardizer

from .trial import Check, NotApplicableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback

    from .trial import Trial

    Array = NDArray[np.float64]

LEVEL = 0.01  # of the test: a log that is missing at random fails once in 100
DIRECTIONS, FOLDS = 32, 5  # of the features, and of the prompts
MOST = 20_000  # ratings that are compared
FEWEST = 10  # good and bad ratings of the asked, and of the others
MODELS_REACTING = frozenset(
    {"three_outcome", "anchored", "oracle"}
)  # do not take the ratings as missing at random


class ArmsTest(NamedTuple):
    """The test that thumbs are the same whether or not somebody asked, for equal responses.

    Attributes
    ----------
    z : float
        Test statistic: Student's t with ``clusters`` - 1 degrees of freedom.
    clusters : int
        Prompts with a rating.
    difference : float
        P(up) of the asked minus that of the others, for equal responses.

    """

    z: float
    clusters: int
    difference: float

    @property
    def p(self) -> float:
        """Two-sided p-value."""
        return float(2 * stdtr(self.clusters - 1, -abs(self.z)))


def asked_arms(t: Trial) -> Check:
    """Check that equal responses get the same thumbs whether or not somebody asked: |t| <= that of p = .01.

    If feedback is missing at random given x, P(up given a reaction, x) is the same in all arms of a lottery
    of asks. The test is that of `arms_test`. It applies to methods that take feedback as missing at random;
    for others the sentence has its result. Not rejecting is no evidence for missing at random.

    Parameters
    ----------
    t : Trial
        The method and the split log.

    Returns
    -------
    Check
        The statistic, and its limit.

    Raises
    ------
    NotApplicableError
        Without a lottery, with too few ratings in an arm, or if the method does not take feedback as missing
        at random.

    """
    if t.log.o is None or not t.log.asks:
        raise NotApplicableError("the log has no lottery of asks (trueward ask)")
    found = arms_test(t.log, t.seed)
    more = "less" if found.difference < 0 else "more"
    sentence = (
        f"for equal responses, thumbs of the asked are up {abs(found.difference):.2f} {more} often "
        f"(p = {found.p:.2g})"
    )
    name = t.method.resolve(LogCapabilities.from_feedback(t.log))[0].name
    if name in MODELS_REACTING:
        raise NotApplicableError(f"{name} does not take feedback as missing at random; {sentence}")
    limit = float(stdtrit(found.clusters - 1, 1 - LEVEL / 2))
    passed = abs(found.z) <= limit
    sentence += (
        ", which is no evidence that feedback is missing at random"
        if passed
        else (
            ": who reacts unasked depends on how good the response is, or asking changes what users say; "
            f"{name} takes feedback as missing at random (auto, three_outcome and anchored read the asks)"
        )
    )
    return Check("asked_arms", passed, abs(found.z), limit, sentence)


def arms_test(log: Feedback, seed: int) -> ArmsTest:
    """Test that P(up given a reaction, x) is the same for the asked and the others.

    t = sum_i e_i / sqrt(sum over prompts of (sum e_i)^2), e = (a - E[a given a reaction, x]) (up - P(up given
    a reaction, x)), both by ridge regression out of fold on 32 directions of the features [1]_.

    Parameters
    ----------
    log : Feedback
        A log with a lottery of asks.
    seed : int
        Seed of the folds.

    Returns
    -------
    ArmsTest

    Raises
    ------
    NotApplicableError
        With fewer than 10 good or 10 bad ratings of the asked or of the others.

    References
    ----------
    .. [1] Shah and Peters, The hardness of conditional independence testing, Annals of Statistics 2020.

    """
    arm, weight = arms(log)
    rows = ((arm >= 0) & (log.seen.cpu() > 0)).nonzero().squeeze(-1)
    if len(rows) > MOST:
        rows = rows[torch.randperm(len(rows), generator=torch_stream(seed, "asked arms"))[:MOST]]
    a = (arm[rows] > 0).double().numpy()
    up = log.y[rows].double().cpu().numpy()
    fewest = min(
        min(((up > 0.5) & side).sum(), ((up <= 0.5) & side).sum()) for side in (a == 1, a == 0)
    )
    if fewest < FEWEST:
        raise NotApplicableError(
            f"the asked and the others need {FEWEST} good and {FEWEST} bad ratings each, and one has {fewest}"
        )
    x = Standardizer.fit(log.x[rows])(log.x[rows], torch.float32).double()
    _, _, v = torch.linalg.svd(x.T @ x / len(x))
    x = x @ v[:DIRECTIONS].T
    columns = design(x, scaling(x, x, 0)).numpy()
    group = prompt_numbers(len(log), log.group)[rows]
    fold = fold_of(len(rows), FOLDS, stream_seed(seed, "refute", "asked arms"), group).numpy()
    w = (weight[rows] / weight[rows].mean()).numpy()
    prior = CoefficientPrior(1.0, (), ())

    def residual(target: Array) -> Array:
        data = RegressionData(columns, target, w, group.numpy())
        return target - out_of_fold(data, fold, lambda part: gold_coefficients(part, prior))

    of_arm = residual(a)
    e = w * of_arm * residual(up) / len(rows)
    _, unit = np.unique(group.numpy(), return_inverse=True)
    count = int(unit.max()) + 1
    spread = float((w * np.square(of_arm)).sum() / len(rows))
    return ArmsTest(
        float(e.sum()) / clustered_error(e, unit, count), count, float(e.sum()) / spread
    )
