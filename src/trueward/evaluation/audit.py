"""Estimate how good a reward model is on a log, from a few gold labels and everything in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.arguments import FLAG, WHOLE, require_kinds
from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed
from trueward.core.weighted import effective_size
from trueward.data.splits import fold_of, prompt_numbers
from trueward.estimation.asked_labels import KNOWN_ANSWERS, labels_of_all
from trueward.estimation.gold_regression import enough, gold_coefficients
from trueward.estimation.ridge_logistic import CoefficientPrior, RegressionData, out_of_fold
from trueward.features.given import feedback_of
from trueward.model.reward_model import RewardModel

from .estimates import Audit
from .evaluate import require_same_features, scorer_of
from .influence_functions import INFLUENCE_FUNCTIONS
from .likeness import draw_warnings
from .log_signals import evidence_columns
from .prediction_powered import AuditRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log

    from .evaluate import FeatureScorer

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

__all__ = ["Audit", "audit", "audit_rows", "gold_probability"]

FOLDS = 5  # of gold prompts: the fit that predicts a row never saw its label


def audit(
    model: FeatureScorer | str | Path,
    log: Feedback | Log | object,
    *,
    future: bool = False,
    chosen: bool = False,
    seed: int = 0,
) -> Audit:
    """Estimate the metrics of a model on a log of which a random draw of rows has gold labels.

    theta = lambda mean_N psi^ + mean_G (psi - lambda psi^) with psi^ = g psi(f, 1) + (1 - g) psi(f, 0), over
    all N rows and the G gold rows. g = P(good given score, feedback, channels, context, features) is
    fitted on the gold labels of other prompts. lambda in [0, 1] minimises the variance.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model or its folder, or any object with its ``backbone`` and ``score_features``.
    log : Feedback, Log, path or table
        A log with gold labels on some of its rows; texts are encoded with the model's backbone.
    future : bool, default False
        Estimate the metrics on future prompts instead of the logged ones: wider intervals, which include
        the draw of the logged prompts.
    chosen : bool, default False
        The gold rows are not a random draw; adds a warning unless the log has ``gold_weight``.
    seed : int, default 0
        Seed of the folds.

    Returns
    -------
    Audit
        ``auroc``, ``r2``, ``brier``, ``nll``, ``accuracy`` of P > 1/2, ``bias`` (mean of P - r), ``good``
        (share of good responses) and ``pair_accuracy``, each with a 95 % interval. The interval is over
        the draw of the gold rows, clustered by prompt where labels come by prompt.

    Raises
    ------
    TruewardError
        If the log has too few gold labels, or gold labels of one class or one prompt only, or the model
        identifies only an interval.

    Notes
    -----
    The estimates are unbiased for every g: a better g narrows the interval, a worse one does not bias it
    (methods 4.6). AUROC and R2 enter by their influence functions. Pair accuracy uses gold labels on one
    or both answers of a pair.

    Where a lottery decided whom to ask, and most gold labels are on the asked who stayed silent, answers to
    asks count as labels beside them, and the asked stand for all responses of the lottery. The intervals are
    then those of future prompts, since they must include the draw of the asked.

    References
    ----------
    .. [1] Angelopoulos et al., Prediction-powered inference, Science 2023.
    .. [2] Angelopoulos, Duchi and Zrnic, PPI++ (power tuning), arXiv 2311.01453.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] + torch.randn(400, generator=g) > 0).float()
    >>> gold = torch.where(torch.rand(400, generator=g) < 0.3, r, torch.nan)
    >>> log = tw.Feedback(x, r, torch.ones(400), gold=gold, group=torch.arange(400) // 4)
    >>> estimates = tw.audit(tw.fit("naive", *log.split(0.2), epochs=2), log)
    >>> estimates["good"].low < float(r.mean()) < estimates["good"].high
    True

    """
    require_kinds("audit", future=(future, FLAG), chosen=(chosen, FLAG), seed=(seed, WHOLE))
    model = scorer_of(model, "audit")
    log = feedback_of(log, model.backbone, "audit")
    if not len(log.audited):
        raise TruewardError(
            "an audit needs gold labels on rows of the log, and found none: give --gold"
        )
    log, asks = labels_of_all(log)
    future = future or bool(asks)
    rows, evidence = audit_rows(model, log, future=future, seed=seed)
    both = {name: rows.estimate(name) for name in (*INFLUENCE_FUNCTIONS, "pair_accuracy")}
    return Audit(
        {k: with_log for k, (with_log, _) in both.items()},
        {k: alone for k, (_, alone) in both.items()},
        len(log),
        int(rows.known.sum()),
        (
            *draw_warnings(rows, evidence[0], chosen=chosen),
            *([f"{asks}; {KNOWN_ANSWERS}"] if asks else ()),
            *_fitted(model),
            *(rows.few_units() if future else ()),
        ),
        effective_size(rows.gold_share),
    )


def audit_rows(
    model: FeatureScorer, log: Feedback, *, future: bool, seed: int
) -> tuple[AuditRows, tuple[Array, Array]]:
    """Score a log and predict its labels, for an audit or a plan.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    log : Feedback
        The log, with n rows.
    future : bool
        Whether the estimates are those of future prompts.
    seed : int
        Seed of the folds.

    Returns
    -------
    rows : AuditRows
        Without gold labels, g is the model's own P(preferred).
    evidence : tuple of (n, k) and (n, d) arrays
        Columns that g was fitted on; see `log_signals.evidence_columns`.

    Raises
    ------
    TruewardError
        If the model identifies only an interval, or the gold labels are too few.

    """
    require_same_features(model.backbone, log.backbone, "log")
    scores = model.score_features(log.x)
    if scores.preferred is None or scores.reward is None:
        raise TruewardError(
            "an audit needs one P(preferred) a row, and this model identifies only an interval"
        )
    p, s, w, labels = (
        v.double().cpu().numpy()
        for v in (scores.preferred, scores.reward, log.row_weight, log.label_weight)
    )
    group = prompt_numbers(len(log), log.group).numpy()
    user = None if log.user is None else prompt_numbers(len(log), log.user).numpy()
    if log.gold is None or not len(log.audited):
        none = np.full(len(p), np.nan)
        return AuditRows(p, s, none, p, group, future, user, w), (p[:, None], p[:, None])
    gold = log.gold.double().cpu().numpy()
    enough(gold[~np.isnan(gold)])
    evidence = evidence_columns(s, log, seed)
    g = gold_probability(evidence, gold, group, seed, labels)
    return AuditRows(p, s, gold, g, group, future, user, w, labels), evidence


def gold_probability(
    evidence: tuple[Array, Array], gold: Array, group: Index, seed: int, weight: Array | None = None
) -> Array:
    """Predict the gold label of every row, out of fold over prompts.

    Parameters
    ----------
    evidence : tuple of (n, k) and (n, d) arrays
        Columns of the regression; the coefficient of the first has prior mean 1, of the others 0.
    gold : (n,) array
        Gold labels, NaN where there is none.
    group : (n,) array of int
        Prompt of every row.
    seed : int
        Seed of the folds.
    weight : (n,) array, optional
        What each gold label represents.

    Returns
    -------
    (n,) array
        P(good): of gold rows by the fit on gold labels of other folds, of other rows by the mean of all fits.

    Raises
    ------
    TruewardError
        If all gold labels are on one prompt.

    """
    table, x = evidence
    design = np.hstack([np.ones((len(table), 1)), table, x])
    prior = CoefficientPrior(1.0, (1.0, *[0.0] * (table.shape[1] - 1)), (0.0,) * table.shape[1])
    rows = np.flatnonzero(~np.isnan(gold))
    ids = np.unique(group[rows], return_inverse=True)[1]
    count = int(ids.max()) + 1
    if count < 2:
        raise TruewardError("an audit needs gold labels of at least 2 prompts, and found 1")
    k = min(FOLDS, count)
    fold = np.full(len(table), -1)
    fold[rows] = fold_of(len(rows), k, stream_seed(seed, "audit"), torch.from_numpy(ids)).numpy()
    w = np.ones(len(rows)) if weight is None else weight[rows] / weight[rows].mean()
    labelled = RegressionData(design[rows], gold[rows], w, np.arange(len(rows)))
    return out_of_fold(
        labelled, fold[rows], lambda data: gold_coefficients(data, prior), design, fold
    )


def _fitted(model: FeatureScorer) -> Iterator[str]:
    """Warn of labels that the model was fitted on."""
    if not isinstance(model, RewardModel):
        return
    if "gold" in model.estimator.needs or model.estimator.takes_truth:
        yield (
            f"{model.method} is fitted on gold labels: if on these, the estimates are too good; audit it "
            "with labels that it was not fitted on"
        )
