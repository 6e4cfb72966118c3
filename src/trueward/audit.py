"""How good a reward model is on the logged responses, from a few trusted labels and all that the log says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import chdtrc, expit

from .anchor import FEWEST, Anchor, Prior, Sample, enough
from .crossfit import Ground, fit_together
from .data import Columns, Feedback, fold_of, prompt_numbers, split_rows
from .errors import TruewardError, UsageError
from .evaluate import Estimate, Estimates, same_features
from .fit import configure
from .influence import MEASURES, Rows, width
from .inputs import Inputs, leading, reduced
from .methods.anchored import Anchored
from .streams import stream_seed, torch_stream
from .support import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from .model import RewardModel

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

FOLDS = 5  # of gold prompts: none predicts its own labels
UNLIKE = 1e-4  # p-value below which gold rows are not a random draw
WIDTH = 256  # leading directions of the features that g sees


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
    rows, known = _rows(model, log, future=future, seed=seed)
    found = {name: rows.estimate(name) for name in (*MEASURES, "pair_accuracy")}
    return Audit(
        {k: both[0] for k, both in found.items()},
        {k: both[1] for k, both in found.items()},
        len(log),
        int(rows.known.sum()),
        tuple(_doubts(model, known, rows.known, chosen)),
    )


@dataclass(frozen=True)
class Plan:
    """How many gold labels an interval of the wanted width needs, and which responses to label next."""

    metric: str
    width: float
    now: int
    needed: int
    rows: Tensor  # numbers of the responses to label, a uniform draw of those without a label

    def __str__(self) -> str:
        """Say it in a sentence."""
        more = f"{len(self.rows)} more" if len(self.rows) else "no more"
        return (
            f"an interval of {self.metric} {self.width:g} wide takes about {self.needed} gold labels: "
            f"{self.now} are there, {more} to be had"
        )


def plan(model: RewardModel, log: Feedback, metric: str, width: float, *, seed: int = 0) -> Plan:
    """n = N v / (N + v), v = V (2 * 1.96 / width)^2, V the variance of one label's worth at the best lambda.

    V is that of an audit with the gold labels there are; without any, the model's P(preferred) is believed.
    What is labelled next is drawn uniformly, as an audit needs it.
    """
    if metric not in MEASURES:
        raise UsageError(f"a plan is for one of {', '.join(MEASURES)}, not {metric!r}")
    if not 0 < width < 1:
        raise UsageError(f"the width of an interval lies between 0 and 1, and is {width:g}")
    rows, _ = _rows(model, log, future=False, seed=seed)
    v, n = rows.variance(metric) * (2 * 1.96 / width) ** 2, len(log)
    needed = max(FEWEST, math.ceil(n * v / (n + v)))
    rest = torch.from_numpy(np.flatnonzero(~rows.known))
    order = torch.randperm(len(rest), generator=torch_stream(seed, "plan"))
    now = int(rows.known.sum())
    return Plan(metric, width, now, needed, rest[order[: max(0, needed - now)]])


def _rows(
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
    known = _evidence(s, log, seed)
    return Rows(p, s, gold, _chance(known, gold, group, seed), group, future), known


def _evidence(s: Array, log: Feedback, seed: int) -> tuple[Array, Array]:
    """(n, k) log-odds of the model and of the signals given x, and what was logged; (n, d) features."""
    columns = [torch.from_numpy(s), *_reader(log).evidence(replace(log, eta=signals(log, seed)))]
    if log.o is None:
        columns.append(log.y)
    else:
        columns += [log.o * log.y, log.o * (1 - log.y)]
    columns += [v.nan_to_num() for v in log.channels.values()]
    if log.z is not None:
        columns += list(log.z.T)
    table = torch.stack([v.double().cpu() for v in columns], 1)
    table -= table.mean(0)
    table[:, 1:] /= table[:, 1:].std(0, correction=0).clamp(min=1e-9)
    return table.numpy(), _directions(log.x)


def signals(log: Feedback, seed: int) -> Columns:
    """(n,) chance of every signal given x, out of fold, as `anchored` takes them for evidence.

    What ``log.eta`` has already is not fitted again.
    """
    made = _reader(log)
    _, cfg = configure(made, {"seed": seed})
    rest, held = split_rows(len(log), 0.2, seed, log.group)
    train, val = log[rest], log[held]
    ground = Ground(train, val, Inputs.of(train, cfg.dtype()), cfg)
    (fitted,) = fit_together([(ground, [made])])
    eta = Columns(log.eta)
    for nu, fit in fitted.items():
        if isinstance(fit, TruewardError):
            raise fit
        eta[nu.name] = torch.empty(len(log))
        eta[nu.name][rest], eta[nu.name][held] = fit.train.cpu(), fit.val.cpu()
    return eta


def _reader(log: Feedback) -> Anchored:
    made, _ = Anchored().on(Facts.of(log))
    assert isinstance(made, Anchored)
    return made


def _directions(x: torch.Tensor) -> Array:
    """(n, d) features in leading directions, of mean square length 1."""
    inputs = Inputs.of(Feedback(x, torch.zeros(len(x))), torch.float32)
    wide = x.shape[1] > WIDTH
    v = reduced(x, inputs, leading(x, inputs, WIDTH, 0)) if wide else inputs.x(x, torch.float32)
    v = v.double() - v.double().mean(0)
    return np.asarray((v / v.square().sum(1).mean().sqrt().clamp(min=1e-12)).cpu().numpy())


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
    if "gold" in model.made_by.needs:
        yield (
            f"{model.method} is fitted on gold labels: if on these, the figures are too good; audit it with "
            "labels that it has not seen"
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
