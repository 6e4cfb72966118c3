"""Plan an audit: how many gold labels it needs, and which responses to label next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from trueward.core.arguments import NUMBER, TEXT, WHOLE, require_kinds
from trueward.core.errors import UsageError
from trueward.core.overview import Overview, Shown
from trueward.core.random import torch_stream
from trueward.estimation.gold_regression import FEWEST_GOLD
from trueward.features.given import feedback_of

from .audit import audit_rows
from .evaluate import scorer_of
from .influence_functions import INFLUENCE_FUNCTIONS
from .label_strata import strata, stratified_draw

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log

    from .evaluate import FeatureScorer
    from .prediction_powered import AuditRows

    Array = NDArray[np.float64]

#: How `plan` draws the responses to label.
Draw = Literal["uniform", "stratified", "chance"]
SHARES = tuple(k / 10 for k in range(1, 10))  # shares of good responses that a worst case covers
EXTEND = (
    "plan that draw on the log without its gold labels, with the same seed and a smaller width: it contains "
    "the first, and gives every label its new gold_weight"
)
UNBOUNDED = (
    "auroc",
    "r2",
)  # their variance has no bound over all labels: it grows as one class gets rare


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """Number of gold labels that an interval needs, and the responses to label next.

    See Also
    --------
    plan : Computes it.

    """

    #: Metric of the audit.
    metric: str
    #: Wanted width of its 95 % interval, in units of the metric.
    width: float
    #: Gold labels that the log has.
    now: int
    #: Gold labels that are needed in all: by those that the log has, or without any by the model's own P.
    needed: int
    #: Row numbers of the responses to label, drawn from those without a label.
    rows: Tensor
    #: Without gold labels: those that are needed in the worst case (see `plan`). Otherwise None.
    needed_worst_case: int | None = None
    #: (len(rows),) ``gold_weight`` of these rows, 1 / P(labelled). None in a uniform draw.
    gold_weight: Tensor | None = None
    #: Fewer than 10 effective prompts or users: intervals of future prompts would be too narrow.
    warnings: tuple[str, ...] = ()

    def _overview(self) -> Overview:
        facts = [
            ["metric", self.metric],
            ["width of its 95 % interval", f"{self.width:g}"],
            ["gold labels needed", f"{self.needed:,}"],
            ["gold labels in the log", f"{self.now:,}"],
            ["responses to label now", f"{len(self.rows):,}"],
        ]
        if self.needed_worst_case is not None:
            facts.insert(3, ["at most", f"{self.needed_worst_case:,}"])
        notes = [f"warning: {w}" for w in self.warnings]
        return Overview(str(self), ("", "value"), facts, notes)

    def __str__(self) -> str:
        """Format the plan as a sentence."""
        aim = f"a 95 % interval of {self.metric} of width {self.width:g} needs"
        if self.needed_worst_case is not None:
            of, then = "", "then plan again with these labels"
            if self.gold_weight is not None:
                of, then = " of a uniform draw", "and keep their gold_weight"
            return (
                f"{aim} {self.needed} to {self.needed_worst_case} gold labels{of}: {self.needed} if the "
                f"model's P(preferred) is right, at most {self.needed_worst_case} "
                f"{_worst_case(self.metric)}; the log has 0: label {len(self.rows)}, {then}"
            )
        more = f"label {len(self.rows)} more" if len(self.rows) else "that is enough"
        return (
            f"{aim} about {self.needed} gold labels, as estimated from the {self.now} that the log has: "
            f"{more}"
        )


def plan(
    model: FeatureScorer | str | Path,
    log: Feedback | Log | object,
    metric: str,
    width: float,
    *,
    draw: Draw = "uniform",
    seed: int = 0,
) -> Plan:
    """Compute how many gold labels an audit needs, and draw the responses to label next.

    n = N v / (N + v) with v = V (2 * 1.96 / width)^2, for N logged rows. V is the variance of one
    label's contribution at the best lambda, estimated by an audit with the present gold labels.

    Without any gold label V is a range. Best guess: the model's P(preferred) is calibrated, V = E[P (1 - P)
    (psi(1) - psi(0))^2]. Worst case: the log predicts nothing, V = Var psi(r). It is the largest over all
    P(good given the response) for metrics that are means of psi. For ``auroc`` and ``r2`` it is the largest
    over P(good) that is the same for all responses, from .1 to .9.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model, or its folder.
    log : Feedback, Log, path or table
        The log whose responses are to be audited; texts are encoded with the model's backbone.
    metric : str
        ``auroc``, ``r2``, ``brier``, ``nll``, ``accuracy``, ``bias`` or ``good``.
    width : float
        Wanted width of the 95 % interval over the draw of gold rows, in (0, 1).
    draw : {"uniform", "stratified", "chance"}, default "uniform"
        ``chance`` draws each response with a known probability, half uniform and half in proportion to
        |psi(1) - psi(0)| sqrt(P (1 - P)): where a label says most. ``stratified`` draws in proportion to
        their size, and at least 5, of the rows without feedback, with 0 and with 1, by thirds of
        P(preferred). Both need a log without gold labels, and the labels must go with their ``gold_weight``.
        With the same seed a draw for a smaller width contains the draw for a larger one.
    seed : int, default 0
        Seed of the draw, and of the folds of the audit.

    Returns
    -------
    Plan
        With the responses to label. Without gold labels their number is the best guess: label them, and
        plan again with these labels.

    Raises
    ------
    UsageError
        If the metric or the draw is not one of these, the width is not in (0, 1), ``draw`` is not uniform on
        a log with gold labels, or more labels are needed where the present ones have unequal chances.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] + torch.randn(400, generator=g) > 0).float()
    >>> log = tw.Feedback(x, r, torch.ones(400), group=torch.arange(400) // 4)
    >>> todo = tw.plan(tw.fit("naive", *log.split(0.2), epochs=2), log, "accuracy", 0.1)
    >>> len(todo.rows) == todo.needed - todo.now
    True

    """
    require_kinds(
        "plan", metric=(metric, TEXT), width=(width, NUMBER), draw=(draw, TEXT), seed=(seed, WHOLE)
    )
    model = scorer_of(model, "plan")
    if metric not in INFLUENCE_FUNCTIONS:
        raise UsageError(f"a plan is for one of {', '.join(INFLUENCE_FUNCTIONS)}, not {metric!r}")
    if not 0 < width < 1:
        raise UsageError(f"the width of an interval lies between 0 and 1, and is {width:g}")
    if draw not in get_args(Draw):
        raise UsageError(f"a draw is uniform, stratified or chance, not {draw!r}")
    log = feedback_of(log, model.backbone, "plan")
    if draw != "uniform" and len(log.audited):
        raise UsageError(
            f"a draw with unequal chances is for a log without gold labels, and this one has "
            f"{len(log.audited)}: {EXTEND}"
        )
    rows, _ = audit_rows(model, log, future=False, seed=seed)
    needed = _labels(rows.variance(metric), width, len(log))
    now = int(rows.known.sum())
    most = None if now else max(needed, _labels(worst_case_variance(rows, metric), width, len(log)))
    if draw == "stratified":
        chosen, weights = stratified_draw(strata(rows.p, log), needed, seed)
        drawn, weight = torch.from_numpy(chosen), torch.from_numpy(weights)
        return Plan(metric, width, now, needed, drawn, most, weight, rows.few_units())
    if draw == "chance":
        chance = label_chances(rows, metric, needed)
        place = torch.rand(len(log), generator=torch_stream(seed, "plan")).double().numpy()
        chosen = np.flatnonzero(place < chance)
        weight = torch.from_numpy(1 / chance[chosen])
        drawn = torch.from_numpy(chosen)
        return Plan(metric, width, now, needed, drawn, most, weight, rows.few_units())
    if needed > now and log.gold_weight is not None and np.ptp(rows.weight[rows.known]) > 1e-6:
        raise UsageError(
            f"the gold labels have unequal gold_weight, so a uniform draw beside them would be wrong (about "
            f"{needed} labels are needed, and the log has {now}): {EXTEND}"
        )
    rest = torch.from_numpy(np.flatnonzero(~rows.known))
    order = torch.randperm(len(rest), generator=torch_stream(seed, "plan"))
    drawn = rest[order[: max(0, needed - now)]]
    return Plan(metric, width, now, needed, drawn, most, warnings=rows.few_units())


def label_chances(rows: AuditRows, metric: str, count: int) -> Array:
    """Return the chance of every row to be drawn: half uniform, half by what its label says on a metric.

    P_i = min(1, count (1/2 1/N + 1/2 v_i / sum v)), v_i = w_i |psi_i(1) - psi_i(0)| sqrt(g_i (1 - g_i)), w_i
    what the row represents. Each row is drawn on its own, so ``count`` is the expected number of labels, or
    more than that where some chances are cut at 1.

    Parameters
    ----------
    rows : AuditRows
        Logged rows with their scores and g.
    metric : str
        A key of `INFLUENCE_FUNCTIONS`.
    count : int
        Expected number of labels.

    Returns
    -------
    (n,) array
        Above 0 and at most 1.

    """
    f = INFLUENCE_FUNCTIONS[metric](rows.p, rows.s, rows.pseudo_label, 0.0, rows.share)
    v = rows.share * np.abs(f.good - f.bad) * np.sqrt(rows.g * (1 - rows.g))
    n = len(v)
    by_value = v / v.sum() if v.sum() > 0 else np.full(n, 1 / n)
    return np.asarray(np.minimum(1.0, count * (0.5 / n + 0.5 * by_value)))


def _labels(variance: float, width: float, n: int) -> int:
    """Gold labels of n logged rows that give an interval of this width."""
    v = variance * (2 * 1.96 / width) ** 2
    return max(FEWEST_GOLD, math.ceil(n * v / (n + v)))


def worst_case_variance(rows: AuditRows, metric: str) -> float:
    """Return the largest variance of psi(r), one label's contribution, where the log predicts nothing.

    A metric that is a mean of psi: max over all P(good) of Var psi(r) = min_m mean max_r (psi(r) - m)^2.
    ``auroc`` and ``r2``: max over q in .1 .. .9 of Var psi(r) where P(good) = q for every response.

    Parameters
    ----------
    rows : AuditRows
        Logged rows with their scores; labels are not read.
    metric : str
        A key of `INFLUENCE_FUNCTIONS`.

    Returns
    -------
    float
        In squared units of the metric.

    """
    w = rows.share
    square = len(w) * w**2  # of n rows, each of the share of the population that it represents
    shares = [np.full(len(w), q) for q in SHARES]
    if metric in UNBOUNDED:
        each = [INFLUENCE_FUNCTIONS[metric](rows.p, rows.s, q, 0.0, w) for q in shares]
        squares = [
            float(square @ (q * (f.good - m) ** 2 + (1 - q) * (f.bad - m) ** 2))
            for q, f, m in ((q, f, float(w @ f.at(q))) for q, f in zip(shares, each, strict=True))
        ]
        return max(squares)
    f = INFLUENCE_FUNCTIONS[metric](rows.p, rows.s, shares[0], 0.0, w)
    psi = np.stack([f.good, f.bad])
    found = minimize_scalar(
        lambda m: square @ np.square(psi - m).max(0),
        bounds=(psi.min(), psi.max()),
        method="bounded",
    )
    return float(found.fun)


def _worst_case(metric: str) -> str:
    """State what the worst case covers."""
    if metric in UNBOUNDED:
        return "if score and log predict nothing and 10 to 90 % of the responses are good"
    return "whatever the labels are"
