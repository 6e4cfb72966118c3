"""Bounds of what a log does not identify: mean P(good), orders of pairs, and models of the product."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueward.core.arguments import MAPPING, NUMBER, SEVERAL, TEXT, WHOLE, require_kinds
from trueward.core.clustering import few_warnings
from trueward.core.errors import TruewardError, UsageError
from trueward.core.overview import Overview, Shown
from trueward.core.suggest import suggestion
from trueward.features.given import feedback_of
from trueward.model.reward_model import fitted

from .bounded_pairs import blocks, pair_accuracy, pair_orders
from .evaluate import require_same_features
from .linear_estimands import LinearEstimand
from .missing_label_nuisances import partial_labels
from .model_comparison import compare as compare_models
from .model_comparison import limit_name
from .partial_labels import WORST
from .sensitivity import odds_ratio_from_gold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

    from .bounded_pairs import PairOrders
    from .model_comparison import ModelComparison
    from .partial_labels import IdentifiedSet, PartialLabels

GAMMAS = (1.0, 1.5, 2.0, 3.0, WORST)
HEAD = ("odds ratio", "mean P(good)", "pair accuracy", "certain orders of pairs")
HELD = 0.05  # share of P at 0 or 1 that is worth a note
MODELS = 10  # most frequent models that are compared


@dataclass(frozen=True, repr=False)
class Bounds(Shown):
    """What a log says about quality under limits on who reacts; ``str()`` is a text.

    See Also
    --------
    bounds : Computes them.

    """

    #: Mean P(good) over the shown responses, for every limit on the odds ratio of reacting.
    mean: tuple[IdentifiedSet, ...]
    #: Share of the pairs of a good and a bad answer to one prompt that the model orders correctly.
    pair_accuracy: tuple[IdentifiedSet, ...]
    #: Share of all pairs of answers to one prompt whose order is determined; empty in the worst case alone.
    pairs: tuple[PairOrders, ...]
    #: Every model of the product against the reference; empty where the log has one.
    comparisons: tuple[ModelComparison, ...]
    #: Odds ratio of reacting estimated from gold labels on unrated rows, and its 95 % interval.
    gold: tuple[float, float, float] | None
    #: Number of responses, of those with feedback, and of those with a gold label.
    counts: tuple[int, int, int]
    #: Assumptions and gaps, as sentences.
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data; a limit of null is the worst case."""
        return {
            "mean": [b.to_json() for b in self.mean],
            "pair_accuracy": [b.to_json() for b in self.pair_accuracy],
            "pairs": [p.to_json() for p in self.pairs],
            "comparisons": [c.to_json() for c in self.comparisons],
            "gold": self.gold,
            "rows": self.counts[0],
            "rated": self.counts[1],
            "gold_labels": self.counts[2],
            "notes": list(self.notes),
        }

    def _overview(self) -> Overview:
        n, rated, _ = self.counts
        accuracy = {b.gamma: b for b in self.pair_accuracy}
        pairs = {p.gamma: p for p in self.pairs}
        rows = [
            [
                limit_name(b.gamma),
                str(b),
                str(accuracy.get(b.gamma, "-")),
                str(pairs.get(b.gamma, "-")),
            ]
            for b in self.mean
        ]
        notes = [*map(str, self.comparisons), *(f"note: {note}" for note in self.notes)]
        worst = f", mean P(good) in the worst case {self.mean[-1]}" if self.mean else ""
        title = f"{n:,} responses, {rated:,} with feedback{worst}"
        return Overview(title, HEAD, rows, notes)

    def __str__(self) -> str:
        """Format the bounds as a table, then the comparisons and the notes."""
        n, rated, gold = self.counts
        lines = [
            f"{n:,} responses, {rated:,} with feedback, {gold:,} with a gold label",
            "odds ratio 1: good and bad responses with the same text and context get feedback equally often",
            f"{'odds ratio':<12}{'mean P(good)':<34}{'pair accuracy':<34}certain orders of pairs",
        ]
        accuracy = {b.gamma: b for b in self.pair_accuracy}
        pairs = {p.gamma: p for p in self.pairs}
        for b in self.mean:
            order, known = pairs.get(b.gamma), accuracy.get(b.gamma)
            cells = [limit_name(b.gamma).ljust(12), str(b).ljust(34), str(known or "-").ljust(34)]
            lines.append("".join([*cells, str(order or "-")]).rstrip())
        if self.gold is not None:
            value, low, high = self.gold
            lines.append(
                f"odds ratio estimated from gold labels: {value:.2f} [{low:.2f}, {high:.2f}]"
            )
        lines += [str(c) for c in self.comparisons]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def bounds(
    model: RewardModel | str | Path,
    log: Feedback | Log | object,
    *,
    compare: Sequence[str | None] | None = None,
    reference: str | None = None,
    covariates: Mapping[str, NDArray[np.float64]] | None = None,
    rho_01: float = 0.0,
    rho_10: float = 0.0,
    seed: int = 0,
) -> Bounds:
    """Bound quality where the log does not identify it, for every limit on who reacts.

    E[o r + (1 - o) h(f)] with f = P(good given rated, x) and h(f) = f e^-d / (1 - f + f e^-d), |d| <=
    log gamma: given x, the odds ratio of reacting, good against bad, lies between 1 / gamma and gamma. It
    may differ between responses. In the worst case h is 0 or 1.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model or its folder; its scores order the pairs.
    log : Feedback, Log, path or table
        A log with n rows; texts are encoded with the model's backbone.
    compare : sequence of str or None, optional
        (n,) model of the product that gave each response, such as ``log.frame["model"]``; None where
        unknown. Any other grouping of responses will do.
    reference : str, optional
        The value of ``compare`` that the others are compared with; by default the most frequent.
    covariates : mapping of str to (n,) array, optional
        Columns that were fixed before a model answered, to detect a choice of the model that is not random
        and to adjust for it.
    rho_01, rho_10 : float, default 0
        P(rated bad given good) and P(rated good given bad).
    seed : int, default 0
        Seed of the folds.

    Returns
    -------
    Bounds
        For odds ratios 1, 1.5, 2 and 3 and for the worst case, each with two one-sided 97.5 % intervals,
        clustered by user and prompt. Clicks and logs without unrated responses have the worst case only.

    Raises
    ------
    TruewardError
        If there are no rows, or ``compare`` has one value only.
    UsageError
        If noise rates are out of range, or the reference or the length of ``compare`` is wrong.

    Notes
    -----
    The bounds are sharp: labels exist that agree with the log and attain them. At an odds ratio of 1,
    the mean is the augmented inverse-propensity estimate. Estimated p and f enter every bound but the certain
    orders of pairs with their error to first order [1]_. Gold labels replace what they are known for; whether
    a row has one must not depend on its label given x. Rows count by ``weight``. Where ``gold_weight`` says
    that gold rows were not equally likely, P(gold given x) is a regression on p and f, and the odds ratio
    estimated from gold labels counts them by ``gold_weight``.

    References
    ----------
    .. [1] Scharfstein, Rotnitzky and Robins, Adjusting for nonignorable drop-out, JASA 1999.
    .. [2] Manski, Nonparametric bounds on treatment effects, 1990.
    .. [3] Imbens and Manski, Confidence intervals for partially identified parameters, 2004.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 2, generator=g)
    >>> r = (x[:, 0] > 0).float()
    >>> o = (torch.rand(400, generator=g) < 0.5).float()
    >>> log = tw.Feedback(x, r * o, o, group=torch.arange(400) // 4)
    >>> result = tw.bounds(tw.fit("naive", *log.split(0.2), epochs=2), log)
    >>> one, *_, worst = result.mean
    >>> worst.low < one.low == one.high < worst.high
    True

    """
    require_kinds(
        "bounds",
        compare=(compare, SEVERAL.or_none),
        reference=(reference, TEXT.or_none),
        covariates=(covariates, MAPPING.or_none),
        rho_01=(rho_01, NUMBER),
        rho_10=(rho_10, NUMBER),
        seed=(seed, WHOLE),
    )
    model = fitted(model, "bounds")
    log = feedback_of(log, model.backbone, "bounds")
    if not len(log):
        raise TruewardError("bounds need rows, and the log has none")
    names, reference, left_out = _names(compare, reference, len(log))
    require_same_features(model.backbone, log.backbone, "log")
    scores = model.score_features(log.x)
    rows, reason = partial_labels(log, names, (rho_01, rho_10), seed)
    gammas = GAMMAS if reason is None else (WORST,)
    mean = LinearEstimand.mean(rows.weight)
    parts = []
    if scores.reward is not None:
        ranks = np.asarray(scores.reward.double().cpu().numpy())
        parts = blocks(rows.clusters.units["prompt"], ranks, rows.weight, seed)
    accuracy = [pair_accuracy(parts, rows, g) for g in gammas] if parts else []
    orders = [pair_orders(parts, rows, g) for g in gammas] if parts and reason is None else []
    covered = {} if covariates is None else dict(covariates)
    gold = odds_ratio_from_gold(rows.f.clip(1e-6, 1 - 1e-6), log) if reason is None else None
    return Bounds(
        tuple(mean.bounds(rows, g, (0.0, 1.0)) for g in gammas),
        tuple(a for a in accuracy if a is not None),
        tuple(p for p in orders if p is not None),
        () if names is None else compare_models(rows, names, str(reference), gammas, covered),
        gold,
        (len(log), int(rows.rated.sum()), int((~np.isnan(rows.gold)).sum())),
        tuple(_notes(log, rows, reason, left_out, paired=bool(parts), noise=(rho_01, rho_10))),
    )


def _names(
    compare: Sequence[str | None] | None, reference: str | None, n: int
) -> tuple[list[str | None] | None, str | None, int]:
    """Names of the models of the rows, the reference, and how many models are left out."""
    if compare is None:
        return None, None, 0
    if len(compare) != n:
        raise UsageError(f"compare needs one name for each of {n} rows, and has {len(compare)}")
    counted = Counter(str(m) for m in compare if m is not None).most_common()
    if len(counted) < 2:
        has = f"one, {counted[0][0]!r}" if counted else "none"
        raise TruewardError(f"a comparison needs responses of two models, and the log has {has}")
    known = [m for m, _ in counted]
    if reference is not None and reference not in known:
        raise UsageError(f"no response is of {reference!r}: {suggestion(reference, known)}")
    kept = {*known[:MODELS], *([] if reference is None else [reference])}
    names = [str(m) if m is not None and str(m) in kept else None for m in compare]
    return names, reference or known[0], len(known) - len(kept)


def _notes(
    log: Feedback,
    rows: PartialLabels,
    reason: str | None,
    left_out: int,
    *,
    paired: bool,
    noise: tuple[float, float],
) -> Iterator[str]:
    if rows.known.all():
        yield "every response has a rating or a gold label: the bounds are one value"
    elif reason is not None:
        yield f"only the worst case is bounded: {reason}"
    scope = log.export_scope
    if scope is not None and not scope.shows_unrated:
        yield f"the log holds rated responses only, and the bounds are of those; for all: {scope.remedy}"
    if not rows.rated.all() and float(rows.p[rows.rated].min(initial=1.0)) < 0.02:
        yield "some responses with feedback had a propensity near .01: their weights are large"
    if rows.held > HELD:
        yield f"P(good) is held at 0 or 1 in {rows.held:.0%} of the rows: the noise rates do not fit these"
    if max(noise) == 0 and rows.rated.any():
        yield "a rating is taken as the truth: state wrong ratings by rho_01 and rho_10"
    if len(log.audited):
        yield (
            "gold labels replace what they are known for; if drawn at random, or with their gold_weight, "
            "`trueward evaluate --log` estimates the metrics from them whoever reacts"
        )
    if log.user is None:
        yield "the log has no user_id: intervals are clustered by prompt alone"
    yield from few_warnings(rows.clusters.effective(rows.weight))
    if not paired:
        yield "no prompt has two answers that the model orders, so there are no pairs"
    if left_out:
        yield f"{left_out} models with fewer responses are left out of the comparison"
