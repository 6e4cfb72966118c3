"""Ratings regressed on out-of-fold log-odds of ratings and on out-of-fold scores of comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import expit

from .nuisance_types import Computed
from .pair_scores import PAIRS, agreement, contradictions
from .reward_form import odds
from .ridge_logistic import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

FEWEST_RATINGS = 20  # rated rows, of which 5 are good and 5 bad, from which comparisons are weighed
PRIOR_SD = 1.0  # of the weight of a score of comparisons whose spread over the log is 1
STEPS = 60  # of the search for the level


def joining(sources: tuple[str, ...], base: str) -> Computed:
    """Return the nuisance ``joint``: P(good) from ratings and comparisons.

    logit P = c + a m(x) + sum_k b_k f_k(x), with f_k the score of source k, of mean 0 and spread 1 over the
    log, and m the log-odds of ratings (``base``). a, b_k >= 0 maximise the likelihood of the ratings, given
    their out-of-fold log-odds and the out-of-fold f_k, and the priors a ~ N(1, 1), b_k ~ N(0, 1). c makes
    the mean of P over the log that of sigmoid(m). So comparisons count as far as they help to predict
    ratings that were not seen, and the ratings give the level.

    Parameters
    ----------
    sources : tuple of str
        Sources of comparisons.
    base : str
        Column of ``eta`` with P(good) from ratings: ``placed``, or ``noisy``.

    Returns
    -------
    Computed
        Column ``target``; parameters ``w``, ``centre`` and ``unit`` as those of `EvidenceRegression`.

    """

    def inputs(b: Feedback) -> list[Tensor]:
        return [odds(b.eta[base]), *(odds(b.eta[PAIRS + k]) for k in sources)]

    def fit(train: Feedback, _val: Feedback, _seed: int) -> tuple[Parameters, dict[str, Any]]:
        level, *scores = inputs(train)
        weight = train.row_weight.cpu()
        own = {"ratings": odds(train.eta.noisy)} | dict(zip(sources, scores, strict=True))
        table = torch.stack([own["ratings"], *scores], 1).cpu()
        centre = (weight[:, None] * table).sum(0) / weight.sum()
        spread = ((weight[:, None] * (table - centre).square()).sum(0) / weight.sum()).sqrt()
        unit = torch.where(spread > 1e-9, 1 / spread, 0.0)
        unit[0], centre[0] = 1.0, 0.0
        rows = (train.seen > 0).nonzero().squeeze(-1).cpu()
        design = torch.nn.functional.pad((table[rows] - centre) * unit, (1, 0), value=1.0)
        labels = train.y.double().cpu()[rows].numpy()
        w, enough = _weights(design.numpy(), labels, weight[rows].numpy())
        found = torch.from_numpy(np.r_[0.0, w[1:]])
        parameters = {"w": found, "centre": centre, "unit": unit}
        m = level.cpu().numpy()
        f = m * w[1] + ((table[:, 1:] - centre[1:]) * unit[1:]).numpy() @ w[2:]
        found[0] = _level(f, float(np.average(expit(m), weights=weight.numpy())), weight.numpy())
        matrix = agreement(own, train)
        told = contradictions(matrix)
        names = ("ratings", *sources)
        told += [
            f"the comparisons of {k} are not used: out of fold they do not help to predict ratings"
            for k, b in zip(sources, w[2:], strict=True)
            if enough and b <= 0
        ]
        if not enough:
            told.append(
                f"{len(rows)} ratings are too few to weigh comparisons ({FEWEST_RATINGS} are needed, 5 of "
                "either kind), so they are not used: fit bradley_terry, or collect ratings"
            )
        report: dict[str, Any] = {
            "ratings": len(rows),
            "weights": {k: round(float(v), 4) for k, v in zip(names, w[1:], strict=True)},
            "agreement": matrix,
        }
        return parameters, report | ({"warning": "; ".join(told)} if told else {})

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        at = {k: v.to(b.y.device) for k, v in parameters.items()}
        v = (torch.stack(inputs(b), 1) - at["centre"]) * at["unit"]
        return {"target": torch.sigmoid(at["w"][0] + v @ at["w"][1:])}

    return Computed("joint", ("target",), fit, apply)


def _weights(design: Array, labels: Array, weight: Array) -> tuple[Array, bool]:
    """Return (2 + k,) intercept, a and b >= 0, and whether the ratings are enough to estimate them."""
    columns = design.shape[1]
    prior = np.r_[0.0, 1.0, np.zeros(columns - 2)]
    good = int((labels > 0.5).sum())
    if len(labels) < FEWEST_RATINGS or min(good, len(labels) - good) < 5:
        return prior, False
    kept = np.arange(columns)
    precision = np.r_[1e-2, np.ones(columns - 1) / PRIOR_SD**2]
    while True:
        estimate = logistic(design[:, kept], labels, weight, precision[kept], prior[kept])
        worst = int(np.argmin(np.r_[0.0, estimate.w[1:]]))
        if worst == 0 or estimate.w[worst] >= 0:
            w = np.zeros(columns)
            w[kept] = estimate.w
            return w, True
        kept = np.delete(kept, worst)


def _level(f: Array, mean: float, weight: Array) -> float:
    """Return c with mean sigmoid(f + c) = mean."""
    low, high = -60.0, 60.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if float(np.average(expit(f + middle), weights=weight)) < mean:
            low = middle
        else:
            high = middle
    return (low + high) / 2
