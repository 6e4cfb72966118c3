"""Evaluate a reward model on true labels, with a 95 % interval for every metric."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args, runtime_checkable

import numpy as np

from trueward.core.arguments import TEXT, WHOLE, described, require_kinds
from trueward.core.clustering import Cluster
from trueward.core.errors import TruewardError, UsageError
from trueward.features.given import labelled_of
from trueward.model.reward_model import load

from .measure import measure

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Labelled
    from trueward.data.truth import Test

    from .estimates import Metrics
    from .paired import Statistics

    Array = NDArray[np.float64]


class ScoredRows(Protocol):
    """Scores of n rows, each (n,); None where a model identifies only an interval."""

    @property
    def reward(self) -> Tensor | None:
        """(n,) log-odds of being preferred."""

    @property
    def preferred(self) -> Tensor | None:
        """(n,) P(preferred)."""


@runtime_checkable
class FeatureScorer(Protocol):
    """A model that scores features, as a fitted `RewardModel` does."""

    @property
    def backbone(self) -> str | None:
        """Identity of the features that it reads; None where it is unknown."""

    def score_features(self, x: Tensor) -> ScoredRows:
        """Score (n, d) features."""


def evaluate(
    model: FeatureScorer | str | Path,
    test: Labelled | Test | object,
    *,
    cluster: Cluster = "both",
    draws: int = 1000,
    seed: int = 0,
) -> Metrics:
    """Evaluate a reward model on true labels or graded quality.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model or its folder, or any object with its ``backbone`` and ``score_features``.
    test : Test, Labelled, path or table
        Texts, which are encoded with the model's own backbone, or features with labels ``r`` in [0, 1],
        graded quality ``rating``, or both. Other tables are read by `read_test`.
    cluster : {"prompt", "user", "both"}, default "both"
        Units that the intervals are clustered by; ``both`` takes those whose ids the test has.
    draws : int, default 1000
        Draws of the noise in the interval of ece; 0 gives no intervals of any metric.
    seed : int, default 0
        Seed of these draws.

    Returns
    -------
    Metrics
        With labels: ``auroc``, ``r2`` = 1 - brier / var(r) (higher is better), ``brier`` = mean (P - r)^2,
        ``nll``, ``ece``, ``bias`` (mean of P - r), ``mae`` and ``rmse`` of P(preferred). On the rating, or
        else on the labels: ``pearson``, ``spearman``, ``pair_accuracy`` (share of the pairs of answers to
        one prompt of different quality in the right order) and ``best_of_n_lift`` (quality of the top-scored
        answer minus the mean of its prompt, in units of the quality). Each has a 95 % interval, clustered by
        prompt and user, and ``warnings`` name fewer than 10 effective units.

    Raises
    ------
    TruewardError
        If the model identifies only an interval of P(preferred), or reads other features than the test
        has.
    UsageError
        If ``cluster`` is ``user`` and the test has no users.

    Notes
    -----
    A graded label r, such as the mean of several annotators, is a number that P predicts: it enters brier,
    r2, mae, ece and the order of pairs as it is. In auroc, nll and accuracy the row counts r as good and
    1 - r as bad. `audit` uses the same definitions.

    With ``weight`` every row counts as that many rows.

    See Also
    --------
    audit : Estimates the same on a log with a few gold labels, without a test set.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> x = torch.linspace(-1, 1, 100)[:, None]
    >>> r = (x[:, 0] > 0).float()
    >>> log = tw.Feedback(x, r, torch.ones(100), group=torch.arange(100) // 2)
    >>> model = tw.fit("naive", *log.split(0.2), epochs=2)
    >>> metrics = tw.evaluate(model, tw.Labelled(x, r, group=log.group), draws=50)
    >>> metrics["auroc"].value
    1.0

    """
    return evaluated(model, test, cluster=cluster, draws=draws, seed=seed)


def evaluated(
    model: FeatureScorer | str | Path,
    test: Labelled | Test | object,
    *,
    cluster: Cluster = "both",
    draws: int = 1000,
    seed: int = 0,
    kept: Statistics | None = None,
) -> Metrics:
    """Evaluate as `evaluate` does, and keep what a comparison with another model needs.

    Parameters
    ----------
    model, test, cluster, draws, seed
        As for `evaluate`.
    kept : Statistics, optional
        Gets the influence of every row on every metric.

    Returns
    -------
    Metrics
        As of `evaluate`.

    Raises
    ------
    TruewardError, UsageError
        As `evaluate`.

    """
    require_kinds("evaluate", cluster=(cluster, TEXT), draws=(draws, WHOLE), seed=(seed, WHOLE))
    if cluster not in get_args(Cluster):
        raise UsageError(
            f"evaluate: cluster is {', '.join(get_args(Cluster))}, not {described(cluster)}"
        )
    model = scorer_of(model, "evaluate")
    data = labelled_of(test, model.backbone, "evaluate")
    require_same_features(model.backbone, data.backbone, "test")
    scores = model.score_features(data.x)
    if scores.preferred is None or scores.reward is None:
        raise TruewardError(
            "evaluating needs one P(preferred) for each row, and this model identifies only an "
            "interval; fit it with an option that fixes the scale (gold labels, a prior or an anchor)"
        )
    return measure(
        _numpy(scores.preferred),
        score=_numpy(scores.reward),
        r=None if data.r is None else _numpy(data.r),
        rating=None if data.rating is None else _numpy(data.rating),
        group=None if data.group is None else data.group.detach().cpu().numpy(),
        user=None if data.user is None else data.user.detach().cpu().numpy(),
        weight=None if data.weight is None else _numpy(data.weight),
        cluster=cluster,
        draws=draws,
        seed=seed,
        kept=kept,
    )


def scorer_of(model: object, function: str) -> FeatureScorer:
    """Return what scores features: a model as it is, or the model of a folder.

    Parameters
    ----------
    model : FeatureScorer, str or Path
        The model or its folder.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    FeatureScorer

    Raises
    ------
    UsageError
        If it is neither.

    """
    if isinstance(model, str | PathLike):
        return load(Path(model))
    if isinstance(model, FeatureScorer) and not isinstance(model, type):
        return model
    raise UsageError(
        f"{function} takes a fitted reward model or its folder as model, not {described(model)}"
    )


def require_same_features(model: str | None, data: str | None, what: str) -> None:
    """Raise if the features of the data are known to differ from those that the model reads.

    Parameters
    ----------
    model, data : str or None
        Identities of the features; None where one is unknown, which passes.
    what : str
        What the data are, for the message: ``test`` or ``log``.

    Raises
    ------
    TruewardError
        If both are known and differ.

    """
    if model is None or data is None or model == data:
        return
    from trueward.features import identity  # noqa: PLC0415 - loads the text backbones

    if identity(model) != identity(data):
        raise TruewardError(
            f"the model was fit on the features {model} and the {what} has the features "
            f"{data}; encode the {what} with the model's backbone"
        )


def _numpy(t: Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)
