"""Calibrate a model on labels of selected rows, each weighted by 1 / P(labelled)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.arguments import FLAG, WHOLE, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream, stream_seed
from trueward.data.splits import fold_of, prompt_numbers
from trueward.estimation.asked_labels import KNOWN_ANSWERS, labels_of_all
from trueward.estimation.ridge_logistic import (
    NOT_CONVERGED,
    CoefficientPrior,
    RegressionData,
    out_of_fold,
)
from trueward.features.given import feedback_of
from trueward.model.reward_model import fitted

from .label_weights import CHOSEN, DRAWN, REACTS, REPRESENTS, LabelWeights, label_report
from .log_signals import evidence_columns, signal_probabilities

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]

FOLDS = 5  # of prompts: the fit that predicts a row never saw it
RIDGES = (1.0, 10.0, 100.0)  # prior precision of the columns, chosen by marginal likelihood
SPREADS = (0.0, 0.2, 1.0)  # prior sd of what the features add to the log-odds, chosen likewise
OTHERS = 10_000  # unlabelled rows that P(labelled) is fitted on


def calibrate(
    model: RewardModel | str | Path,
    log: Feedback | Log | object,
    *,
    chosen: bool = False,
    feedback: bool = False,
    seed: int = 0,
) -> RewardModel:
    """Calibrate a model on labels that are not a random draw of the log.

    Each label is weighted by 1 / P(labelled), in the fit of the calibration map and in the conformal
    quantile. The weight of a new response is the mean over the log, since it has no feedback yet. The
    columns ``weight`` and ``gold_weight`` always count; ``gold_weight`` is 1 / P(labelled), and nothing is
    estimated where it is given. Gold labels on the asked who stayed silent count beside the answers of the
    others, as in `audit`.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model, or its folder.
    log : Feedback, Log, path or table
        The log, with n rows; texts are encoded with the model's backbone.
    chosen : bool, default False
        The gold rows were chosen; P(chosen given everything logged) is a logistic regression, out of
        fold over prompts.
    feedback : bool, default False
        There are no gold labels, and the feedback of rated rows is used instead; P(rated given x) is
        fitted out of fold. With neither flag, gold rows are taken as a random draw, or as drawn with the
        probabilities that ``gold_weight`` gives.
    seed : int, default 0
        Seed of the folds.

    Returns
    -------
    RewardModel
        The same ranking with calibrated P(preferred). ``report["calibration"]`` has the assumption and
        the effective sample size of the weights.

    Raises
    ------
    UsageError
        If both flags are given.
    TruewardError
        If the log has no gold labels (or, with ``feedback``, has clicks only), or the model identifies
        only an interval.

    References
    ----------
    .. [1] Tibshirani, Barber, Candes and Ramdas, Conformal prediction under covariate shift,
       NeurIPS 2019.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] + torch.randn(400, generator=g) > 0).float()
    >>> gold = torch.where(torch.rand(400, generator=g) < 0.3, r, torch.nan)
    >>> log = tw.Feedback(x, r, torch.ones(400), gold=gold, group=torch.arange(400) // 4)
    >>> model = tw.calibrate(tw.fit("naive", *log.split(0.2), epochs=2), log)
    >>> model.report["calibration"]["gold"] == len(log.audited)
    True

    """
    require_kinds("calibrate", chosen=(chosen, FLAG), feedback=(feedback, FLAG), seed=(seed, WHOLE))
    model = fitted(model, "calibrate")
    log = feedback_of(log, model.backbone, "calibrate")
    if chosen and feedback:
        raise UsageError("calibrate takes chosen gold rows or feedback, not both: give one")
    if feedback:
        log, weights = feedback_as_gold(log, seed)
    elif chosen and len(log.audited) and log.gold_weight is None:
        weights = weights_of_chosen(model, log, seed)
    else:
        return _by_columns(model, log, seed)
    calibrated = model.calibrated(log, weight=weights.weight, seed=seed)
    report = dict(calibrated.report["calibration"])
    warnings = [report.get("warning"), weights.report.get("warning")]
    if feedback:
        report["labels"] = "feedback"
        warnings.append(
            "if these are rows that the model was fitted on, P(preferred) is too close to 0 and 1 on others"
        )
    warning = {"warning": "; ".join(w for w in warnings if w)} if any(warnings) else {}
    report = {k: v for k, v in report.items() if k != "warning"} | weights.report | warning
    return replace(calibrated, report={**calibrated.report, "calibration": report})


def _by_columns(model: RewardModel, log: Feedback, seed: int) -> RewardModel:
    """Calibrate with the weights that the log has, and report what they assume."""
    log, asks = labels_of_all(log)
    calibrated = model.calibrated(log, seed=seed)
    if log.weight is None and log.gold_weight is None:
        return calibrated
    w = log.label_weight[log.audited].cpu().numpy()
    known = DRAWN if log.gold_weight is not None else REPRESENTS
    own, weighted = calibrated.report["calibration"], label_report(w, known)
    warnings = [r["warning"] for r in (own, weighted) if "warning" in r]
    warnings += [f"{asks}; {KNOWN_ANSWERS}"] if asks else []
    warning = {"warning": "; ".join(warnings)} if warnings else {}
    return replace(
        calibrated, report={**calibrated.report, "calibration": own | weighted | warning}
    )


def feedback_as_gold(log: Feedback, seed: int) -> tuple[Feedback, LabelWeights]:
    """Take the feedback of rated rows as gold labels, with weights 1 / P(rated given x).

    Parameters
    ----------
    log : Feedback
        A log with good and bad ratings.
    seed : int
        Seed of the folds of P(rated given x).

    Returns
    -------
    log : Feedback
        The log with the ratings as gold labels.
    weights : LabelWeights
        The weights of its rows.

    Raises
    ------
    TruewardError
        If the log has clicks only.

    """
    if log.o is None:
        raise TruewardError(
            "calibrating on feedback needs a log with negative ratings, and this one has clicks only: have "
            "some responses audited and give --gold"
        )
    rated = log.o > 0
    known = rated.cpu().numpy()
    log = replace(log, gold=None, gold_weight=None)
    rates = signal_probabilities(log, seed)
    chance = rates["responds"].double().numpy() if "responds" in rates else known.astype(float)
    labelled = replace(log, gold=torch.where(rated, log.y, torch.nan))
    return labelled, LabelWeights.of(chance, known, REACTS, log.row_weight.cpu().numpy())


def weights_of_chosen(model: RewardModel, log: Feedback, seed: int) -> LabelWeights:
    """Compute the weights 1 / P(gold given the score, the signals, what was logged, features).

    Parameters
    ----------
    model : RewardModel
        A fitted model, whose uncalibrated score is a column of the regression.
    log : Feedback
        A log with gold labels on some of its rows.
    seed : int
        Seed of the folds.

    Returns
    -------
    LabelWeights
        The weights of all rows.

    Raises
    ------
    TruewardError
        If the model identifies only an interval of P(preferred).

    """
    known = np.zeros(len(log), dtype=bool)
    known[log.audited.cpu().numpy()] = True
    score = replace(model, calibration=None).score_features(log.x).reward
    if score is None:
        raise TruewardError(
            "calibrating needs one P(preferred) a row, and this model identifies only an interval"
        )
    represents = log.row_weight.cpu().numpy()
    if known.all():
        return LabelWeights.of(np.ones(len(log)), known, CHOSEN, represents)
    table, x = evidence_columns(score.double().cpu().numpy(), replace(log, gold=None), seed)
    table[:, 0] /= max(float(table[:, 0].std()), 1e-9)
    group = prompt_numbers(len(log), log.group)
    chance, warnings = _labelled_probability(known, table, x, group, represents, seed)
    found = LabelWeights.of(chance, known, CHOSEN, represents)
    warnings += [found.report["warning"]] if "warning" in found.report else []
    report = found.report | ({"warning": "; ".join(warnings)} if warnings else {})
    return LabelWeights(found.weight, report)


def _labelled_probability(
    known: NDArray[np.bool_], table: Array, x: Array, group: Tensor, represents: Array, seed: int
) -> tuple[Array, list[str]]:
    """(n,) P(known) by ridge logistic regressions, out of fold over prompts, with warnings."""
    n, k = table.shape
    rng = numpy_stream(seed, "others")
    others = rng.permutation(np.flatnonzero(~known))[:OTHERS]
    rows = np.sort(np.concatenate([np.flatnonzero(known), others]))
    weight = np.where(known[rows], 1.0, (~known).sum() / len(others))
    weight *= represents[rows] / represents.mean()
    design = np.hstack([np.ones((n, 1)), table, x])
    whole = RegressionData(design[rows], known[rows].astype(float), weight, rows)
    priors = [
        (CoefficientPrior(ridge, (0.0,) * k, (0.0,) * k), s) for ridge in RIDGES for s in SPREADS
    ]
    prior, s = max(priors, key=lambda at: whole.map_estimate(*at).log_evidence)
    fold = fold_of(n, FOLDS, stream_seed(seed, "chosen"), group).numpy()
    converged = []

    def coefficients(data: RegressionData) -> Array:
        estimate = data.map_estimate(prior, s)
        converged.append(estimate.converged)
        return estimate.w

    chance = out_of_fold(whole, fold[rows], coefficients, design, fold)
    return chance, [] if all(converged) else [f"P(labelled): {NOT_CONVERGED}"]
