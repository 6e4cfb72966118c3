"""Ratings regressed on out-of-fold log-odds of ratings, out-of-fold scores of comparisons, and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import expit

from trueward.core.random import torch_stream
from trueward.data.splits import prompt_numbers

from .nuisance_types import Computed
from .pair_scores import PAIRS, agreement, contradictions
from .regression_design import CHUNK, CONSTANT, design
from .reward_form import odds
from .ridge_logistic import (
    CoefficientPrior,
    RegressionData,
    average_coefficients,
    feature_sd_posterior,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback

    from .nuisance_types import Parameters

    Array = NDArray[np.float64]

FEWEST_RATINGS = 20  # rated rows, of which 5 are good and 5 bad, from which comparisons are weighed
MOST_RATINGS = 20_000  # rated rows that weigh comparisons; more are drawn from
RIDGE = 8.0  # prior precision of a and b_k
PRIOR_SCORE = 0.7  # prior mean of b_k: log-odds of a win to log-odds of a good rating
FEATURES_SD = 2.0  # scale of the half-normal prior of s, the spread of what the features add
STEPS = 60  # of the search for the level


def joining(sources: tuple[str, ...], base: str) -> Computed:
    """Return the nuisance ``joint``: P(good) from ratings and comparisons.

    logit P = c + h(x) + a m(x) + sum_k b_k f_k(x) + w . x, with m the log-odds of a good rating, f_k the
    score of source k, whose differences are log-odds of a win, and w ~ N(0, s^2). a, b_k >= 0 and w
    maximise the likelihood of the ratings, given m and f_k out of fold, with the priors a ~ N(0, 1/8), b_k
    ~ N(.7, 1/8); s is averaged over by its marginal likelihood. h is what unrated rows add: the log-odds of
    three_outcome less those of ratings in it (base ``placed``), or 0 (``noisy``). c makes the mean of P
    over the log that of ``base``. So comparisons count as far as they help to predict ratings that were not
    seen, what a biased source gets wrong is corrected along the features, and the ratings give the level.

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
    fixed = ("placed", "naive") if base == "placed" else ()
    names = (*fixed, "noisy", *(PAIRS + k for k in sources))

    def inputs(b: Feedback) -> Tensor:
        return torch.cat([*(odds(b.eta[k])[:, None] for k in names), b.x.double()], 1)

    def fit(train: Feedback, _val: Feedback, seed: int) -> tuple[Parameters, dict[str, Any]]:
        weight = train.row_weight.double().cpu()
        scores = torch.stack([odds(train.eta[k]) for k in names[len(fixed) + 1 :]], 1).cpu()
        rows = (train.seen > 0).nonzero().squeeze(-1).cpu()
        rows = rows[torch.randperm(len(rows), generator=torch_stream(seed, "joint"))[:MOST_RATINGS]]
        parameters = _scaling(train, rows, scores, len(fixed) + 1)
        own = design(inputs(train[rows.to(train.y.device)]), parameters).cpu().numpy()
        own = np.delete(own, range(1, 1 + len(fixed)), axis=1)
        labels = train.y.double().cpu()[rows].numpy()
        found, enough = _coefficients(
            own, labels, _relative(weight[rows]), _groups(train)[rows], 1 + len(sources)
        )
        w = np.insert(found, 1, (1.0, 0.0) if fixed else ())
        if fixed:  # placed, less the log-odds of ratings that it is made of
            share = _out_of_fold_share(train)
            w[2], w[3] = share - 1, w[3] - share
        if not enough:  # what ratings alone give
            w[:] = 0.0
            w[1] = 1.0
        parameters["w"] = torch.from_numpy(w)
        chunks = torch.arange(len(train)).split(CHUNK)
        at = {k: v.to(train.y.device) for k, v in parameters.items()}
        value = torch.cat([(design(inputs(train[i]), at) @ at["w"]).cpu() for i in chunks])
        level = expit(odds(train.eta[base]).cpu().numpy())
        share = float(np.average(level, weights=weight.numpy()))
        parameters["w"][0] += _level(value.numpy(), share, weight.numpy())
        used = dict(zip(("ratings", *sources), found[1:], strict=False))
        report = _report(train, used, scores, sources, enough, len(rows))
        return parameters, report

    def apply(parameters: Parameters, b: Feedback) -> dict[str, Tensor]:
        at = {k: v.to(b.y.device) for k, v in parameters.items()}
        if len(at["centre"]) == 1 + len(sources):  # fitted by release 0.2.0
            old = torch.stack([odds(b.eta[k]) for k in (base, *names[-len(sources) :])], 1)
            return {"target": torch.sigmoid(design(old, at) @ at["w"])}
        chunks = torch.arange(len(b)).split(CHUNK)
        parts = [torch.sigmoid(design(inputs(b[i]), at) @ at["w"]) for i in chunks]
        return {"target": torch.cat(parts) if parts else b.y.double()}

    return Computed("joint", ("target",), fit, apply, features=True)


def _out_of_fold_share(train: Feedback) -> float:
    """Return which share of placed follows the out-of-fold log-odds of ratings; the rest follows naive.

    placed is a function of both and of the log-odds of a reaction. The share is that of their coefficients in
    its least-squares fit: 0 where placed has the ranking of naive.
    """
    names = ("placed", "noisy", "naive", "responds")
    placed, *columns = (odds(train.eta[k]).cpu().numpy() for k in names)
    design = np.stack([np.ones(len(placed)), *columns], 1)
    _, noisy, naive, _ = np.clip(np.linalg.lstsq(design, placed, rcond=None)[0], 0, None)
    return float(noisy / (noisy + naive)) if noisy + naive > 0 else 0.0


def _scaling(train: Feedback, rows: Tensor, scores: Tensor, k: int) -> Parameters:
    """Centre the scores and the features; features get mean square length 1 over the rated rows.

    Parameters
    ----------
    train : Feedback
        All rows.
    rows : Tensor
        Numbers of the rated rows.
    scores : Tensor, shape (n, number of sources)
        Scores of the comparisons.
    k : int
        Number of columns before the scores, which are not centred.

    """
    x, weight = train.x.double(), train.row_weight.double().cpu()
    mean = (weight[:, None] * scores).sum(0) / weight.sum()
    centre = torch.cat([torch.zeros(k, dtype=torch.float64), mean, x.mean(0).cpu()])
    unit = torch.ones_like(centre)
    k += scores.shape[1]
    spread = (x[rows.to(x.device)].cpu() - centre[k:]).square().sum(1).mean() if len(rows) else 0.0
    unit[k:] = spread**-0.5 if spread > CONSTANT else 0.0
    return {"centre": centre, "unit": unit}


def _coefficients(
    design: Array, labels: Array, weight: Array, group: NDArray[np.int64], k: int
) -> tuple[Array, bool]:
    """Return (1 + k + d,) intercept, a, b_k and w, and whether the ratings are enough to estimate them."""
    good = int((labels > 0.5).sum())
    if len(labels) < FEWEST_RATINGS or min(good, len(labels) - good) < 5:
        return np.zeros(design.shape[1]), False
    prior = CoefficientPrior(RIDGE, (0.0, *[PRIOR_SCORE] * (k - 1)), (1.0,) * k)
    data = RegressionData(design, labels, weight, group)
    posterior = feature_sd_posterior(data, prior, FEATURES_SD)
    return average_coefficients(posterior.values(), design.shape[1]), True


def _report(
    train: Feedback,
    used: dict[str, float],
    scores: Tensor,
    sources: tuple[str, ...],
    enough: bool,
    ratings: int,
) -> dict[str, Any]:
    """The coefficients, the agreement of every two kinds of feedback, and what follows from both."""
    own = {"ratings": odds(train.eta.noisy)} | dict(zip(sources, scores.T, strict=True))
    matrix = agreement(own, train)
    told = contradictions(matrix)
    told += [
        f"the comparisons of {k} are not used: out of fold they do not help to predict ratings"
        for k in sources
        if enough and used[k] <= 1e-4
    ]
    if not enough:
        told.append(
            f"{ratings} ratings are too few to weigh comparisons ({FEWEST_RATINGS} are needed, 5 of "
            "either kind), so they are not used: fit bradley_terry, or collect ratings"
        )
    spread = dict(zip(sources, scores.std(0, correction=0).tolist(), strict=True))
    report: dict[str, Any] = {
        "ratings": ratings,
        "weights": {k: round(float(v), 4) for k, v in used.items()},
        "spread": {k: round(v * used[k], 4) for k, v in spread.items()},
        "agreement": matrix,
    }
    return report | ({"warning": "; ".join(told)} if told else {})


def _groups(train: Feedback) -> NDArray[np.int64]:
    """Number the prompts of the rows."""
    return prompt_numbers(len(train), train.group).numpy()


def _relative(weight: Tensor) -> Array:
    """Weights with mean 1."""
    return np.asarray((weight / weight.mean()).numpy()) if len(weight) else weight.numpy()


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
