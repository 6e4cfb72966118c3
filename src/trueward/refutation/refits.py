"""Checks that fit the method again, on a log that was changed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trueward.core.random import stream_seed
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import fold_of

from .changes import NULL, permuted, tossed, unchanged, with_channel, with_context, with_features
from .judge import correlation
from .refutation import Check
from .trial import SURE, NotApplicableError

if TYPE_CHECKING:
    from trueward.estimation.method import Method

    from .changes import Change
    from .trial import Trial

SHUFFLES, COINS = 3, 2  # fits on permuted feedback, and on a placebo
MARGIN = 0.1  # of rank correlation, that a random column may cost where two seeds agree
HALVINGS = 2  # of the prompts, the second only where the first would refute
HALF = 0.5  # rank correlation of two halves that is alike, however alike fits to noise are


def permuted_feedback(t: Trial) -> Check:
    """Mean AUROC of real held-out answers by 3 fits on permuted feedback <= .5 + 3 sd of chance.

    Where it is above, by 6 fits, and the sd of the mean of 6.
    """
    name, leak = (
        "permuted_feedback",
        "something else tells it, such as a nuisance made of the same labels",
    )
    real, error = t.answers.auroc(t.real)
    t.chance(SHUFFLES, error)  # before more fits: are there enough answers?
    figures: list[tuple[float, float]] = []
    for stage in ("permuted feedback", "feedback permuted again"):
        fits, refusal = t.attempts(stage, permuted, SHUFFLES)
        figures += [t.answers.auroc(s) for s in fits]
        if not figures:
            said = f"nothing is learned from permuted feedback: {refusal}"
            return Check(name, True, None, None, said)
        found, error = (float(v) for v in np.mean(figures, axis=0))
        limit = t.chance(len(figures), error)
        if found <= limit:
            break
    said = f"AUROC {found:.2f} after fits on permuted feedback, {real:.2f} after the real one ({t.answers})"
    said += f": {leak}" if found > limit else ""
    return Check(name, found <= limit, found, limit, said)


def placebo_feedback(t: Trial) -> Check:
    """Mean rank correlation of 2 fits on coin tosses with the real fit <= chance, or half that of a seed.

    Chance is 3 sd of fits to noise. A share of the ranking may follow from how often feedback is good,
    and not from which: where feedback is scarce, coin tosses with its rate agree with the real fit a little.
    """
    spread = float(np.std([correlation(s, t.ranking) for s in t.noise]))
    chance = SURE * spread / math.sqrt(COINS)
    if chance >= 1:
        raise NotApplicableError("the features vary in so few directions that any two fits agree")
    fits, refusal = t.attempts("a placebo", tossed, COINS)
    if not fits:
        said = f"nothing is learned from coin tosses: {refusal}"
        return Check("placebo_feedback", True, None, None, said)
    found = float(np.mean([correlation(s, t.ranking) for s in fits]))
    limit = max(chance * math.sqrt(COINS / len(fits)), t.between_seeds / 2)
    said = "fits on coin tosses rank held-out rows unlike the real fit"
    if found > limit:
        said = (
            "fits on coin tosses rank held-out rows like the real fit, so its ranking does not come from the "
            "feedback: that is too scarce, or something else is read"
        )
    said += f" (another seed of the real fit agrees by {t.between_seeds:.2f})"
    return Check("placebo_feedback", found <= limit, found, limit, said)


def random_common_cause(t: Trial) -> Check:
    """Rank correlation with a fit that has random columns >= that of two seeds, less a margin."""
    context = _reads_context(t.method.resolve(LogCapabilities.of(t.log))[0])
    change, what = (
        (with_context, "a random context column")
        if context
        else (with_features, "random feature columns")
    )
    return _hardly(t, "random_common_cause", what, change)


def null_channel(t: Trial) -> Check:
    """Rank correlation with a fit that has a random channel >= that of two seeds, less a margin."""
    if not t.log.channels:
        raise NotApplicableError("the log has no channels")
    facts = LogCapabilities.of(t.log)
    more = replace(facts, columns=facts.columns | {f"channel.{NULL}"})
    if t.method.resolve(more)[0] == t.method.resolve(facts)[0]:
        raise NotApplicableError(f"{t.method.name} would not read another channel")
    return _hardly(t, "null_channel", "a channel that fires at random", with_channel)


def subset_stability(t: Trial) -> Check:
    """Rank correlation of fits on two halves of the prompts >= one sd of that of fits to noise.

    The mean over two ways to halve them, where the first is below. Only where the whole fit ranks held-out
    answers beyond chance: without signal there is nothing that halves could share. 2 rho / (1 + rho) is
    what two logs of this size would share (Spearman and Brown).
    """
    value, error = t.answers.auroc(t.real)
    needed = t.chance(1, error)
    if value <= needed:
        raise NotApplicableError(
            f"the fit ranks held-out answers with AUROC {value:.2f}, and fits to noise reach {needed:.2f} "
            f"({t.answers}), so there is no sure signal for halves to share"
        )
    pairs = zip(t.noise[::2], t.noise[1::2], strict=True)
    limit = min(HALF, float(np.std([correlation(a, b) for a, b in pairs])))
    found = 0.0
    for k in range(HALVINGS):  # the half of a short log may fail to train, but hardly twice
        names = (
            f"{which} half of the prompts" + ", halved again" * k for which in ("one", "the other")
        )
        first, second = (
            half.scored(name, unchanged, again=j)
            for j, (name, half) in enumerate(zip(names, _halves(t, k), strict=True), 1)
        )
        found += (correlation(first, second) - found) / (k + 1)
        if found >= limit:
            break
    said = "fits on two halves of the prompts agree no more than fits to noise do"
    if found >= limit:
        whole = 2 * found / (1 + found)
        said = f"halves of the prompts agree; two logs of this size would by about {whole:.2f}"
    return Check("subset_stability", found >= limit, found, limit, said)


def _hardly(t: Trial, name: str, what: str, change: Change) -> Check:
    """Check that ``change`` costs little beside another seed, where one seed more is no change at all."""
    seeds = t.between_seeds
    found = correlation(t.ranking, t.scored(what, change))
    limit = seeds - max(MARGIN, (1 - seeds) / 2)
    said = f"with {what} added the ranking stays about as it does with another seed ({seeds:.2f})"
    if found < limit:
        said = f"{what} moved the ranking more than another seed does ({seeds:.2f}): noise is read as signal"
    return Check(name, found >= limit, found, limit, said)


def _reads_context(method: Method) -> bool:
    estimated = {getattr(nu, "reads", "") for nu in method.nuisances}
    return bool({"z", "xz"} & {*method.heads.values(), *estimated})


def _halves(t: Trial, k: int) -> list[Trial]:
    """The trial with one and with the other half of the prompts to fit on; the rows that judge stay."""
    seed = stream_seed(t.seed, "refute", "halves", k)
    parts = [(d, fold_of(len(d), 2, seed, d.group)) for d in (t.train, t.val)]
    both = [[d[(fold == k).nonzero().squeeze(-1)] for d, fold in parts] for k in (0, 1)]
    return [replace(t, train=train, val=val) for train, val in both]
