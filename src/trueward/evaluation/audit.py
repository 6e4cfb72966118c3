"""How good a reward model is on the logged responses, from a few trusted labels and all that the log says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import chdtrc, expit

from trueward.core.errors import TruewardError
from trueward.core.random import stream_seed
from trueward.data.feedback import Feedback, fold_of, prompt_numbers
from trueward.estimation.gold_regression import Anchor, Prior, Sample, enough

from .evaluate import Estimates, same_features
from .log_signals import evidence
from .prediction_powered import MEASURES, Rows, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trueward.model.reward_model import RewardModel

    from .bootstrap import Estimate

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FOLDS = 5  # of gold prompts: none predicts its own labels
UNLIKE = 1e-4  # p-value below which gold rows are not a random draw


@dataclass(frozen=True)
class Audit(Estimates):
    """Estimates by name; ``gold_alone`` has them from the gold labels without the log."""

    gold_alone: dict[str, Estimate]
    rows: int
    gold: int
    warnings: tuple[str, ...] = ()

    def narrower(self, name: str) -> float | None:
        """By which share the interval is narrower than that of the gold labels alone."""
        now, before = (width(found[name]) for found in (self.estimates, self.gold_alone))
        return 1 - now / before if 0 < before < np.inf and now < np.inf else None

    def to_json(self) -> dict[str, Any]:
        """Give every estimate with both intervals, the counts and the warnings."""
        return {
            "metrics": {k: e.to_json() for k, e in self.estimates.items()},
            "gold_alone": {k: e.to_json() for k, e in self.gold_alone.items()},
            "rows": self.rows,
            "gold": self.gold,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Lay out one metric a line, the gold labels alone beside it."""
        lines = [f"{'metric':<15}{'value':>9}  {'95 % interval':<20}{'gold labels alone':<20}"]
        for name, e in self.estimates.items():
            if e.value is None:
                lines.append(f"{name:<15}{'-':>9}  ({e.reason})")
                continue
            alone, share = self.gold_alone[name], self.narrower(name)
            gain = "" if share is None else f"{share:.0%} narrower"
            lines.append(
                f"{name:<15}{e.value:>9.4f}  {_span(e):<20}{_span(alone):<20}{gain}".rstrip()
            )
        lines.append(f"{self.rows} logged responses, {self.gold} with a gold label")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def audit(
    model: RewardModel, log: Feedback, *, future: bool = False, chosen: bool = False, seed: int = 0
) -> Audit:
    """Measure ``model`` on the responses of ``log``, of which those with a gold label are a random draw.

    theta = lambda mean_N psi^ + mean_G (psi - lambda psi^), psi^ = g psi(f, 1) + (1 - g) psi(f, 0), g the
    chance that a row is good given score, feedback, channels, context and features, fitted on the gold labels
    of other prompts, and lambda in [0, 1] where the variance, clustered by prompt, is least (methods 4.6).
    AUROC and R2 enter by their influence functions, pair accuracy by what labels of one answer, and of both,
    say of a pair. Right for every g: it only buys width. With ``future`` the figures are those of
    prompts to come, and the intervals wider by what the logged prompts happen to be. ``chosen``: the gold
    rows are no random draw, and the figures are said to be those of the responses they stand for.

    Prediction-powered inference: Angelopoulos et al., Science 2023; power tuning: arXiv 2311.01453.
    """
    if not len(log.audited):
        raise TruewardError(
            "an audit needs gold labels on rows of the log, and found none: give --gold"
        )
    rows, known = rows_of(model, log, future=future, seed=seed)
    found = {name: rows.estimate(name) for name in (*MEASURES, "pair_accuracy")}
    return Audit(
        {k: both[0] for k, both in found.items()},
        {k: both[1] for k, both in found.items()},
        len(log),
        int(rows.known.sum()),
        tuple(_doubts(model, known, rows.known, chosen)),
    )


def rows_of(
    model: RewardModel, log: Feedback, *, future: bool, seed: int
) -> tuple[Rows, tuple[Array, Array]]:
    """The rows of an audit, and the evidence that g was read from; without gold labels g is the model."""
    same_features(model.backbone, log.backbone, "log")
    scores = model.score_features(log.x)
    if scores.preferred is None or scores.reward is None:
        raise TruewardError(
            "an audit needs one P(preferred) a row, and this model identifies only an interval"
        )
    p, s = (v.double().cpu().numpy() for v in (scores.preferred, scores.reward))
    group = prompt_numbers(len(log), log.group).numpy()
    if log.gold is None or not len(log.audited):
        return Rows(p, s, np.full(len(p), np.nan), p, group, future), (p[:, None], p[:, None])
    gold = log.gold.double().cpu().numpy()
    enough(gold[~np.isnan(gold)])
    known = evidence(s, log, seed)
    return Rows(p, s, gold, _chance(known, gold, group, seed), group, future), known


def _chance(known: tuple[Array, Array], gold: Array, group: Index, seed: int) -> Array:
    """(n,) g: of gold rows by the fit on gold labels of other prompts, of the rest by all fits."""
    table, x = known
    design = np.hstack([np.ones((len(table), 1)), table, x])
    prior = Prior(1.0, (1.0, *[0.0] * (table.shape[1] - 1)), (0.0,) * table.shape[1])
    rows = np.flatnonzero(~np.isnan(gold))
    ids = np.unique(group[rows], return_inverse=True)[1]
    count = int(ids.max()) + 1
    if count < 2:
        raise TruewardError("an audit needs gold labels of at least 2 prompts, and found 1")
    k = min(FOLDS, count)
    fold = fold_of(len(rows), k, stream_seed(seed, "audit"), torch.from_numpy(ids)).numpy()
    total, own = np.zeros(len(table)), np.zeros(len(rows))
    for m in range(k):
        there = rows[fold != m]
        sample = Sample(design[there], gold[there], np.ones(len(there)), np.arange(len(there)))
        anchor, _ = Anchor.of(sample, prior, seed)
        p = expit(design @ anchor.w)
        total += p / k
        own[fold == m] = p[rows[fold == m]]
    total[rows] = own
    return total


def _doubts(
    model: RewardModel, known: tuple[Array, Array], gold: NDArray[np.bool_], chosen: bool
) -> Iterator[str]:
    """What the figures do not cover: gold rows that are no random draw, or that the model has seen."""
    p = _likeness(known[0][gold], known[0][~gold])
    if chosen or p < UNLIKE:
        why = "were not drawn at random" if chosen else f"are not like the others (p = {p:.1g})"
        yield (
            f"the gold rows {why}, so these figures are those of the responses they stand for; an audit "
            "of all that were shown needs a random draw of them"
        )
    if "gold" in model.made_by.needs or model.made_by.takes_truth:
        yield (
            f"{model.method} is fitted on trusted labels: if on these, the figures are too good; audit it "
            "with labels that it has not seen"
        )


def _likeness(here: Array, rest: Array) -> float:
    """p-value of Hotelling's test that gold rows have the mean score, feedback and context of the others."""
    if len(rest) < 2:
        return 1.0
    gap = here.mean(0) - rest.mean(0)
    spread = np.cov(here.T) / len(here) + np.cov(rest.T) / len(rest)
    found = gap @ np.linalg.pinv(np.atleast_2d(spread)) @ gap
    return float(chdtrc(len(gap), float(found)))


def _span(e: Estimate) -> str:
    return "-" if e.low is None else f"{e.low:.4f} to {e.high:.4f}"
