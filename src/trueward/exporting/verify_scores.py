"""Comparisons of scores for the rules of exported folders, and the tolerances that follow from rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from scipy.stats import spearmanr

from .verify_rules import RuleBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

FLOAT32 = (
    1e-4  # of sd, between two ways to compute one number in float32, beside its rounding error
)
MODEL = 1e-3  # of sd, from the reward model, beside the rounding error of its features
BFLOAT16 = 0.1  # of sd, root mean square of what bfloat16 may cost
MIN_RANK = 0.9  # rank correlation of a distilled head with its model
LAYERS_OF_ROUNDING = (
    2.0**-18
)  # relative error of an activation after many layers in float32: 32 roundings
BEGINNING = 40  # characters of the worst response that a sentence quotes


def rounding_error(head: Callable[[Tensor], Tensor], activations: Tensor) -> float:
    """Return by how much float32 rounding of the activations moves a score: 4 times the largest change.

    Every activation is multiplied by 1 + or - 2^-18, at random.

    Parameters
    ----------
    head : callable
        Computes scores (n,) from activations (n, d).
    activations : Tensor of shape (n, d)
        Pooled activations of n texts.

    Returns
    -------
    float
        The largest change that is rounding, in units of the scores.

    """
    signs = torch.randint(0, 2, activations.shape, generator=torch.Generator().manual_seed(0))
    moved = activations * (1 + (2 * signs - 1) * LAYERS_OF_ROUNDING)
    return 4 * float((head(moved) - head(activations)).abs().max())


def absorbing(head: Mapping[str, Any]) -> float:
    """Return the largest error that an absorbed constant may have, in sd: twice that of held-out rows.

    Parameters
    ----------
    head : mapping
        The entry ``head`` of a reward card.

    Returns
    -------
    float
        The error; 0 where the constant is in the card. Cards of earlier versions have no largest error, but
        the root mean square on the rows of the fit, of which four times are allowed.

    """
    if head["constant_home"] != "absorbed":
        return 0.0
    worst = head.get("absorb_worst")
    return float(2 * worst if worst is not None else 4 * (head.get("absorb_rmse") or 0.0))


def compare_ranks(scores: Tensor, expected: Tensor, measured: float = 1.0) -> str:
    """Compare a distilled head with its model by rank.

    Parameters
    ----------
    scores, expected : Tensor of shape (n,)
        Scores of the head, and rewards of the model.
    measured : float, default=1
        The rank correlation of the card, on prompts that the head was not fitted on.

    Returns
    -------
    str
        The rank correlations.

    Raises
    ------
    RuleBroken
        If one of them is below 0.9.

    """
    rank = spearman(scores, expected)
    sentence = (
        f"a rank correlation of {rank:.3f} with the model on these texts, and of {measured:.3f} on prompts "
        "that it was not fitted on"
    )
    if not min(rank, measured) >= MIN_RANK:
        raise RuleBroken(
            f"the distilled head has {sentence}; {MIN_RANK:g} is needed: tune a linear head instead (--tune)"
        )
    return f"distilled: {sentence}"


def compare(
    scores: Tensor,
    expected: Tensor,
    tolerance: float,
    sd: float,
    what: str,
    pairs: Sequence[tuple[str, str]] = (),
) -> str:
    """Compare two ways to compute (n,) scores.

    Parameters
    ----------
    scores, expected : Tensor of shape (n,)
        The scores.
    tolerance : float
        The largest allowed difference, in ``sd``.
    sd : float
        Standard deviation of the scores.
    what : str
        What ``expected`` is, for the sentence.
    pairs : sequence of n (str, str)
        Prompts with their responses, to name the worst one.

    Returns
    -------
    str
        The largest difference in sd.

    Raises
    ------
    RuleBroken
        If the difference is above the tolerance, or not a number.

    """
    gaps = (scores - expected).abs() / sd
    gap = float(gaps.max())
    if not gap <= tolerance:
        rms = float(gaps.square().mean().sqrt())
        worst = f"; worst: {pairs[int(gaps.argmax())][1][:BEGINNING]!r}" if pairs else ""
        raise RuleBroken(
            f"differs from {what} by up to {gap:.2g} sd (root mean square {rms:.2g}); allowed: "
            f"{tolerance:.2g} sd{worst}"
        )
    return f"within {gap:.1g} sd of {what}"


def compare_with_model(
    head: Callable[[Tensor], Tensor],
    activations: Tensor,
    expected: Tensor,
    tolerance: float,
    sd: float,
    pairs: Sequence[tuple[str, str]],
) -> str:
    """Compare a head with the rewards of its model, whose features were rounded to float16.

    The activations are rounded in the same way. Some are rounded up here and down there, because they differ
    in the last bits of float32; a quarter of what rounding changes is allowed for them.

    Parameters
    ----------
    head : callable
        Computes scores (n,) from activations (n, d).
    activations : Tensor of shape (n, d)
        Pooled activations of n texts.
    expected : Tensor of shape (n,)
        The rewards of the model, as the head should give them.
    tolerance : float
        The largest allowed difference beside rounding, in ``sd``.
    sd : float
        Standard deviation of the scores.
    pairs : sequence of n (str, str)
        Prompts with their responses.

    Returns
    -------
    str
        The largest difference in sd.

    Raises
    ------
    RuleBroken
        If the difference is above the tolerance.

    """
    rounded = head(activations.half().float())
    moved = float((rounded - head(activations)).abs().max()) / sd
    sentence = compare(
        rounded, expected, tolerance + moved / 4, sd, "the rewards of the model", pairs
    )
    if moved <= tolerance:
        return sentence
    return f"{sentence}; its features were rounded to float16, which moves rewards by up to {moved:.1g} sd"


def precision_cost(scores: Tensor, expected: Tensor, sd: float) -> tuple[float, str]:
    """Measure what a lower precision costs.

    Parameters
    ----------
    scores, expected : Tensor of shape (n,)
        Scores in the lower precision and in float32.
    sd : float
        Standard deviation of the scores.

    Returns
    -------
    tuple of float and str
        Root mean square change in sd; a sentence with the change, the rank correlation, and the share of
        pairs of texts that tie.

    """
    gaps = (scores - expected).abs() / sd
    rms = float(gaps.square().mean().sqrt())
    n = len(scores)
    tied = float((scores[:, None] == scores[None]).sum() - n) / max(n * (n - 1), 1)
    tied -= float((expected[:, None] == expected[None]).sum() - n) / max(n * (n - 1), 1)
    sentence = (
        f"moves scores by {rms:.2g} sd (root mean square; up to {float(gaps.max()):.2g}), with a rank "
        f"correlation of {spearman(scores, expected):.4f} with float32, and ties {max(tied, 0.0):.1%} of "
        "pairs"
    )
    return rms, sentence


def spearman(a: Tensor, b: Tensor) -> float:
    """Compute Spearman's rank correlation.

    Parameters
    ----------
    a, b : Tensor of shape (n,)
        The numbers.

    Returns
    -------
    float
        The correlation.

    """
    return float(spearmanr(a.numpy(), b.numpy()).statistic)
