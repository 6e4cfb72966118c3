"""Checks that fit the method again: on a log without signal, and on changes that must not matter."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trueward.core.random import stream_seed
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Columns
from trueward.data.splits import fold_of

from .answers import correlation
from .trial import SURE, Check, NotApplicableError, unchanged

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback
    from trueward.estimation.method import Method

    from .trial import Change, Trial

SHUFFLES, COINS = 3, 2  # fits on permuted feedback, and on a placebo
MARGIN = 0.1  # loss of rank correlation that a random column may cause where two seeds agree
HALVINGS = 2  # ways to halve the prompts; the second is used only where the first would refute
HALF = 0.5  # rank correlation of two halves that always passes
NULL = "null_channel"
SHARE = 0.05  # random columns that are added, as a share of the features; at least one


def permuted_feedback(t: Trial) -> Check:
    """Check that fits on permuted feedback do not rank real held-out answers: AUROC <= .5 + 3 sd of chance.

    The AUROC is the mean over 3 fits; where it is above the limit, over 6 fits, with the sd of 6.
    """
    (real, error), figures = t.answers.auroc(t.real), list[tuple[float, float]]()
    t.chance(SHUFFLES, error)  # stops here where there are too few answers
    for stage in ("permuted feedback", "feedback permuted again"):
        fits, refusal = t.attempts(stage, permuted, SHUFFLES)
        figures += [t.answers.auroc(s) for s in fits]
        if not figures:
            sentence = f"the method learns nothing from permuted feedback: {refusal}"
            return Check("permuted_feedback", True, None, None, sentence)
        auroc, error = (float(v) for v in np.mean(figures, axis=0))
        limit = t.chance(len(figures), error)
        if auroc <= limit:
            break
    sentence = f"AUROC {auroc:.2f} after {len(figures)} fits on permuted feedback, {real:.2f} after the real"
    sentence += f" fit ({t.answers})" + (f"; others were refused: {refusal}" if refusal else "")
    if auroc > limit:
        sentence += ": something else carries the labels, such as a nuisance computed from them"
    return Check("permuted_feedback", auroc <= limit, auroc, limit, sentence)


def placebo_feedback(t: Trial) -> Check:
    """Check that fits on coin tosses do not rank like the real fit.

    The mean rank correlation of 2 such fits with the real fit must be at most 3 sd of fits to noise, or
    half the correlation of two seeds. A part of the ranking may follow from how often feedback is good,
    and not from which feedback is good: where feedback is scarce, coin tosses with its rate agree with the
    real fit a little.
    """
    spread = float(np.std([correlation(s, t.ranking) for s in t.noise]))
    chance = SURE * spread / math.sqrt(COINS)
    if chance >= 1:
        raise NotApplicableError("the features vary in so few directions that any two fits agree")
    fits, refusal = t.attempts("a placebo", tossed, COINS)
    if not fits:
        sentence = f"the method learns nothing from coin tosses: {refusal}"
        return Check("placebo_feedback", True, None, None, sentence)
    agreement = float(np.mean([correlation(s, t.ranking) for s in fits]))
    limit = max(chance * math.sqrt(COINS / len(fits)), t.between_seeds / 2)
    sentence = "fits on coin tosses rank held-out rows unlike the real fit"
    if agreement > limit:
        sentence = (
            "fits on coin tosses rank held-out rows like the real fit: its ranking does not come from the "
            "feedback, because feedback is too scarce or the method reads something else"
        )
    sentence += f" (rank correlation of two seeds of the real fit: {t.between_seeds:.2f})"
    return Check("placebo_feedback", agreement <= limit, agreement, limit, sentence)


def random_common_cause(t: Trial) -> Check:
    """Check that random columns hardly change the ranking: correlation >= that of two seeds - a margin."""
    context = _reads_context(t.method.resolve(LogCapabilities.from_feedback(t.log))[0])
    what = "a random context column" if context else "random feature columns"
    return _unmoved(t, "random_common_cause", what, with_context if context else with_features)


def null_channel(t: Trial) -> Check:
    """Check that a random channel hardly changes the ranking: correlation >= that of two seeds - a margin."""
    if not t.log.channels:
        raise NotApplicableError("the log has no channels")
    capabilities = LogCapabilities.from_feedback(t.log)
    extended = replace(capabilities, columns=capabilities.columns | {f"channel.{NULL}"})
    if t.method.resolve(extended)[0] == t.method.resolve(capabilities)[0]:
        raise NotApplicableError(f"{t.method.name} would not read another channel")
    return _unmoved(t, "null_channel", "a channel that fires at random", with_channel)


def subset_stability(t: Trial) -> Check:
    """Check that fits on two halves of the prompts agree more than fits to noise: correlation >= one sd.

    Where the first way to halve the prompts is below the limit, the mean over two ways counts. Applies only
    where the whole fit ranks held-out answers beyond chance: without signal the halves cannot agree. Two
    logs of this size would agree by 2 rho / (1 + rho) (Spearman and Brown).
    """
    value, error = t.answers.auroc(t.real)
    needed = t.chance(1, error)
    if value <= needed:
        raise NotApplicableError(
            f"the fit ranks held-out answers with AUROC {value:.2f}, and fits to noise reach {needed:.2f} "
            f"({t.answers}), so no signal is significant on which halves could agree"
        )
    pairs = zip(t.noise[::2], t.noise[1::2], strict=True)
    limit = min(HALF, float(np.std([correlation(a, b) for a, b in pairs])))
    agreement = 0.0
    for k in range(HALVINGS):  # on half of a short log one fit may fail, but hardly two
        names = (
            f"{which} half of the prompts" + ", halved again" * k for which in ("one", "the other")
        )
        first, second = (
            half.scored(name, unchanged, again=j)
            for j, (name, half) in enumerate(zip(names, _halves(t, k), strict=True), 1)
        )
        agreement += (correlation(first, second) - agreement) / (k + 1)
        if agreement >= limit:
            break
    sentence = "fits on two halves of the prompts agree no more than fits to noise do"
    if agreement >= limit:
        whole = 2 * agreement / (1 + agreement)
        sentence = (
            f"halves of the prompts agree; two logs of this size would agree by about {whole:.2f}"
        )
    return Check("subset_stability", agreement >= limit, agreement, limit, sentence)


def _unmoved(t: Trial, name: str, what: str, change: Change) -> Check:
    """Check that ``change`` moves the ranking hardly more than another seed does."""
    seeds = t.between_seeds
    limit = seeds - max(MARGIN, (1 - seeds) / 2)
    if limit <= 0:
        raise NotApplicableError(
            f"two seeds agree by {seeds:.2f} only, so no change would be too large"
        )
    agreement = correlation(t.ranking, t.scored(what, change))
    sentence = f"with {what} the ranking changes about as much as with another seed ({seeds:.2f})"
    if agreement < limit:
        sentence = (
            f"{what} changed the ranking more than another seed does ({seeds:.2f}): the method reads "
            "noise as signal"
        )
    return Check(name, agreement >= limit, agreement, limit, sentence)


def _reads_context(method: Method) -> bool:
    estimated = {nu.reads for nu in method.nuisances}
    return bool({"z", "xz"} & {*method.heads.values(), *estimated})


def _halves(t: Trial, k: int) -> list[Trial]:
    """Two trials, each with half of the prompts to fit on; the held-out rows stay."""
    seed = stream_seed(t.seed, "refute", "halves", k)
    parts = [(d, fold_of(len(d), 2, seed, d.group)) for d in (t.train, t.val)]
    both = [[d[(fold == k).nonzero().squeeze(-1)] for d, fold in parts] for k in (0, 1)]
    return [replace(t, train=train, val=val) for train, val in both]


def permuted(d: Feedback, g: torch.Generator) -> Feedback:
    """Permute the feedback among the rows: y, o, channels, propensity and weight together.

    Gold labels are permuted among gold rows, with their gold weights; with a lottery of asks both move with
    the feedback, because gold labels may be on the asked who stayed silent. Features, context and any other
    nuisance stay. A weight moves with the feedback, so that the weighted rate of feedback stays as it is.

    Parameters
    ----------
    d : Feedback
        Rows of a log.
    g : torch.Generator
        Source of random numbers.

    Returns
    -------
    Feedback
        The changed rows.

    """
    i = torch.randperm(len(d), generator=g)
    moved = {k: v[i] if k == "propensity" else v for k, v in d.eta.items()}
    gold, gold_weight = d.gold, d.gold_weight
    if gold is not None:
        rows, place = d.audited, torch.arange(len(d))
        place[rows] = rows[torch.randperm(len(rows), generator=g)]
        place = i if d.asks else place
        gold, gold_weight = gold[place], None if gold_weight is None else gold_weight[place]
    return replace(
        d,
        y=d.y[i],
        o=None if d.o is None else d.o[i],
        channels=d.channels[i],
        gold=gold,
        weight=None if d.weight is None else d.weight[i],
        gold_weight=gold_weight,
        eta=Columns(moved),
        asks=d.asks[i],
    )


def tossed(d: Feedback, g: torch.Generator) -> Feedback:
    """Replace every signal by coin tosses that come as often.

    Whether feedback was given, its value, every channel and every gold label are then independent of the
    rows and of each other.

    Parameters
    ----------
    d : Feedback
        Rows of a log.
    g : torch.Generator
        Source of random numbers.

    Returns
    -------
    Feedback
        The changed rows.

    """
    d = permuted(d, g)
    ratings = torch.where(d.o > 0, d.y, torch.nan) if d.o is not None else d.y
    o = None if d.o is None else d.o[torch.randperm(len(d), generator=g)]
    y = _shuffled(ratings, g)
    assert y is not None
    if o is not None:
        y = torch.zeros_like(y).masked_scatter(o > 0, y[~y.isnan()])
    names = {k: v[torch.randperm(len(d), generator=g)] for k, v in d.channels.items()}
    return replace(d, y=y, o=o, channels=Columns(names))


def with_context(d: Feedback, g: torch.Generator) -> Feedback:
    """Add a random column to the context.

    Parameters
    ----------
    d : Feedback
        Rows of a log.
    g : torch.Generator
        Source of random numbers.

    """
    column = torch.randn(len(d), 1, generator=g)
    return replace(d, z=column if d.z is None else torch.cat([d.z, column.to(d.z)], 1))


def with_features(d: Feedback, g: torch.Generator) -> Feedback:
    """Add random columns to the features, one for every 20.

    Parameters
    ----------
    d : Feedback
        Rows of a log.
    g : torch.Generator
        Source of random numbers.

    """
    columns = torch.randn(len(d), max(1, round(SHARE * d.x.shape[1])), generator=g)
    return replace(d, x=torch.cat([d.x, columns.to(d.x)], 1))


def with_channel(d: Feedback, g: torch.Generator) -> Feedback:
    """Add a channel that fires at random, as often as the others on average.

    Parameters
    ----------
    d : Feedback
        Rows of a log.
    g : torch.Generator
        Source of random numbers.

    """
    w = d.row_weight.to(d.y)
    shares = [(w * v).nansum() / (w * ~v.isnan()).sum() for v in d.channels.values()]
    rate = torch.stack(shares).nanmean()
    fired = torch.rand(len(d), generator=g) < rate
    return replace(d, channels=d.channels | {NULL: fired.to(d.y)})


def _shuffled(values: Tensor | None, g: torch.Generator) -> Tensor | None:
    """Permute the values that are not NaN among their rows."""
    if values is None:
        return None
    rows = (~values.isnan()).nonzero().squeeze(-1)
    shuffled = values.clone()
    shuffled[rows] = values[rows[torch.randperm(len(rows), generator=g)]]
    return shuffled
