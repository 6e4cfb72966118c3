"""How good a reward model is on clean labels, every figure with its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from trueward.core.errors import TruewardError, UsageError
from trueward.data.feedback import Labelled

from . import metrics
from .bootstrap import Draws, Estimate, bootstrap, estimated, of_ece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.log import Test

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]
    Known = NDArray[np.bool_]
    Statistic = Callable[["Draws"], Array]


@dataclass(frozen=True)
class Estimates(Mapping[str, Estimate]):
    """Estimates by name."""

    estimates: dict[str, Estimate]

    def __getitem__(self, name: str) -> Estimate:
        """Give one estimate."""
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        """Run over the names."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Count the metrics."""
        return len(self.estimates)


@dataclass(frozen=True)
class Metrics(Estimates):
    """Estimates by name, and what they were taken on."""

    rows: int
    prompts: int
    draws: int

    def to_json(self) -> dict[str, dict[str, float | str | None]]:
        """Give {"auroc": {"value": .., "low": .., "high": ..}, ...}; undefined is null."""
        return {name: e.to_json() for name, e in self.estimates.items()}

    def __str__(self) -> str:
        """Lay out one metric a line."""
        lines = [f"{'metric':<15}{'value':>9}  95 % interval"]
        for name, e in self.estimates.items():
            value = "-" if e.value is None else f"{e.value:.4f}"
            span = "" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"
            note = "" if e.reason is None else f"({e.reason})"
            lines.append(f"{name:<15}{value:>9}  {span}{note}".rstrip())
        return "\n".join([*lines, f"{self.rows} rows, {self.prompts} prompts"])


class Scores(Protocol):
    """What a model says of n rows, each (n,); None where it knows only an interval."""

    @property
    def reward(self) -> Tensor | None: ...  # noqa: D102
    @property
    def preferred(self) -> Tensor | None: ...  # noqa: D102


class ScoresFeatures(Protocol):
    """A fitted reward model."""

    @property
    def backbone(self) -> str | None: ...  # noqa: D102
    def score_features(self, x: Tensor) -> Scores: ...  # noqa: D102


def evaluate(
    model: ScoresFeatures, test: Labelled | Test, *, draws: int = 200, seed: int = 0
) -> Metrics:
    """Measure ``model`` on ``test``; a test of text is encoded with the model's own backbone."""
    data = test if isinstance(test, Labelled) else _encoded(test, model.backbone)
    same_features(model.backbone, data.backbone, "test")
    scores = model.score_features(data.x)
    if scores.preferred is None or scores.reward is None:
        raise TruewardError(
            "evaluating needs one P(preferred) for each row, and this model identifies only an "
            "interval; fit it with what pins the scale (gold labels, a prior or an anchor)"
        )
    return measure(
        _numpy(scores.preferred),
        score=_numpy(scores.reward),
        r=None if data.r is None else _numpy(data.r),
        rating=None if data.rating is None else _numpy(data.rating),
        group=None if data.group is None else data.group.detach().cpu().numpy(),
        draws=draws,
        seed=seed,
    )


def same_features(model: str | None, data: str | None, what: str) -> None:
    """Refuse features that are known to be others than those of the model."""
    if model is None or data is None or model == data:
        return
    from trueward.features import identity  # noqa: PLC0415 - brings the text backbones

    if identity(model) != identity(data):
        raise TruewardError(
            f"the model was fit on the features {model} and the {what} has the features "
            f"{data}; encode the {what} with the model's backbone"
        )


def _encoded(test: Test, backbone: str | None) -> Labelled:
    if backbone is None:
        raise TruewardError(
            "this model was fit on features of unknown origin and cannot read text; evaluate "
            "it on a Labelled with features made the same way"
        )
    from trueward.features import encode  # noqa: PLC0415 - brings the text backbones

    return encode(test, backbone=backbone)


def measure(
    p: NDArray[Any],
    *,
    score: NDArray[Any] | None = None,
    r: NDArray[Any] | None = None,
    rating: NDArray[Any] | None = None,
    group: NDArray[Any] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Metrics:
    """Compare predictions with the truth; intervals resample whole prompts ``draws`` times.

    p: (n,) P(preferred). score: (n,) what ranks (auroc, spearman, pairs, best of n), by default p;
    pearson is of p. r: (n,) labels in [0, 1]. rating: (n,) graded quality; where given, the
    ranking metrics but auroc are on it, and without r the label metrics are left out. group: (n,)
    prompt of each row; None takes every row for a prompt of its own. NaN in r or rating is a row
    whose truth is not known, left out of the metrics on it. draws=0: no intervals.
    """
    if r is None and rating is None:
        raise TruewardError("measuring needs labels r or ratings, and got neither; give one")
    if draws < 0:
        raise UsageError(f"draws must be 0 (no intervals) or more, and is {draws}")
    n = len(p)
    p = _checked("p", p, n, unit=True)
    s = p if score is None else _checked("score", score, n)
    label = None if r is None else _checked("r", r, n, unit=True, gaps=True)
    quality = label if rating is None else _checked("rating", rating, n, gaps=True)
    assert quality is not None
    g = np.arange(n) if group is None else _codes(group, n)
    prompts = int(g.max()) + 1 if n else 0
    stats = {} if label is None else _of_labels(p, s, label)
    stats |= _of_order(p, s, quality, g)
    if n == 0:
        empty = Estimate(None, reason="there are no rows")
        return Metrics(dict.fromkeys(stats, empty), 0, 0, draws)
    values, sampled = bootstrap(stats, g, draws, seed)
    found = {
        k: of_ece(values[k], sampled[k], prompts, draws)
        if k == "ece"
        else estimated(k, float(values[k]), sampled[k], prompts, draws)
        for k in stats
    }
    return Metrics(found, n, prompts, draws)


def _of_labels(p: Array, score: Array, r: Array) -> dict[str, Statistic]:
    k = ~np.isnan(r)
    p, score, r = p[k], score[k], r[k]
    gap = p - r
    return {
        "auroc": lambda d: metrics.auroc(score, r, d.of(k)),
        "r2": lambda d: metrics.r2(p, r, d.of(k)),
        "brier": lambda d: metrics.mean_of(gap**2, d.of(k)),
        "nll": lambda d: metrics.mean_of(metrics.nll(p, r), d.of(k)),
        "ece": lambda d: metrics.gaps(p, r, d.of(k)),
        "bias": lambda d: metrics.mean_of(gap, d.of(k)),
        "mae": lambda d: metrics.mean_of(np.abs(gap), d.of(k)),
        "rmse": lambda d: np.sqrt(metrics.mean_of(gap**2, d.of(k))),
    }


def _of_order(p: Array, score: Array, quality: Array, group: Index) -> dict[str, Statistic]:
    """Collect the metrics on graded quality; those within a prompt are sums over prompts."""
    k, count = ~np.isnan(quality), int(group.max(initial=-1)) + 1
    p, score, quality, group = p[k], score[k], quality[k], group[k]
    right, total = metrics.pairs(score, quality, group, count)
    lift, choice = metrics.lifts(score, quality, group, count)
    return {
        "pearson": lambda d: metrics.pearson(p, quality, d.of(k)),
        "spearman": lambda d: metrics.spearman(score, quality, d.of(k)),
        "pair_accuracy": lambda d: metrics.ratio(d.prompts @ right, d.prompts @ total),
        "best_of_n_lift": lambda d: metrics.ratio(d.prompts @ lift, d.prompts @ choice),
    }


def _checked(
    name: str, values: NDArray[Any], n: int, *, unit: bool = False, gaps: bool = False
) -> Array:
    """Give ``values`` as n finite numbers, in [0, 1] if ``unit``, NaN allowed if ``gaps``."""
    v = np.asarray(values, dtype=np.float64)
    if v.shape != (n,):
        raise TruewardError(f"{name} must hold one number for each of {n} rows, not {v.shape}")
    wrong = ~np.isfinite(v) | ((v < 0) | (v > 1) if unit else False)
    if gaps and not np.isnan(v).all():
        wrong &= ~np.isnan(v)
    if wrong.any():
        row = int(wrong.argmax())
        raise TruewardError(
            f"{name} must hold {'numbers from 0 to 1' if unit else 'finite numbers'}, and row "
            f"{row + 1} is {v[row]} ({int(wrong.sum())} such rows); drop or repair them"
        )
    return v


def _codes(group: NDArray[Any], n: int) -> Index:
    if np.shape(group) != (n,):
        raise TruewardError(f"group must name the prompt of each of {n} rows, not {group.shape}")
    return np.asarray(np.unique(group, return_inverse=True)[1], dtype=np.int64)


def _numpy(t: Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)
