"""Checks of the log itself: copies on both sides of a split, and columns that leak the label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch

from trueward.core.influence import auroc_influence
from trueward.core.random import stream_seed
from trueward.data.splits import fold_of, prompt_numbers

from .answers import Answers, labels
from .trial import Check, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from .trial import Trial

    Array = NDArray[np.float64]

COPIES = 1e-3  # largest share of copies: a metric on held-out rows cannot change by more
LEAK = 0.99  # AUROC of one column above which it leaks the label
PROMPTS = 20  # prompts with a good, and with a bad answer: .99 is then 5 sd from chance
MOST = 4096  # answers that columns are compared on
SAMPLE = 2048  # rows that the coarseness of features is measured on


def duplicate_prompts(t: Trial) -> Check:
    """Check that at most .001 of the rows have a copy under another prompt id.

    A copy has the same features or the same prompt text.

    Parameters
    ----------
    t : Trial
        The method and the split log.

    Returns
    -------
    Check
        Share of rows with a copy, and its limit.

    Raises
    ------
    NotApplicableError
        If the log has one prompt, or has coarse features and no prompt texts.

    """
    n, prompt = len(t.log), prompt_numbers(len(t.log), t.log.group).numpy()
    if int(prompt.max(initial=-1)) < 1:
        raise NotApplicableError("the log has one prompt")
    kinds: dict[str, Array] = {}
    if not coarse(t.log.x):
        kinds["features"] = _copies([hash(row) for row in _bytes(t.log.x)], prompt)
    if t.texts is not None:
        kinds["prompt text"] = _copies(t.texts, prompt)
    if not kinds:
        raise NotApplicableError("the features are so coarse that different rows are equal")
    share = float(np.any(list(kinds.values()), axis=0).mean())
    counts = " and ".join(f"{int(v.sum()):,} have the same {k}" for k, v in kinds.items())
    sentence = f"of {n:,} rows, {counts} as a row with another prompt id"
    if share <= COPIES:
        return Check("duplicate_prompts", True, share, COPIES, sentence)
    sentence += ": a split by prompt leaves copies on both sides; give copies one prompt_id"
    return Check("duplicate_prompts", False, share, COPIES, sentence)


def leaked_label(t: Trial) -> Check:
    """Check that no column ranks a label with AUROC above .99 on both halves of the prompts.

    Columns of features and of context, against feedback, channels and gold labels; the sign comes from the
    first half. Each half needs 20 prompts of either label: columns separate many rows of few prompts by
    chance.

    Parameters
    ----------
    t : Trial
        The method and the split log.

    Returns
    -------
    Check
        Largest AUROC of a column, and its limit.

    Raises
    ------
    NotApplicableError
        If no label has enough prompts in each half.

    """
    columns = t.log.x if t.log.z is None else torch.cat([t.log.x, t.log.z.to(t.log.x)], 1)
    fold = fold_of(len(t.log), 2, stream_seed(t.seed, "refute", "columns"), t.log.group)
    leaks: list[tuple[float, str]] = []
    counts = []
    for what, label in labels(t.log):
        halves = [Answers.of(what, torch.where(fold == k, label, torch.nan), t.log) for k in (0, 1)]
        fewest = min(_prompts(half) for half in halves)
        if fewest < PROMPTS:
            counts.append(f"{fewest} by {what}")
            continue
        first, second = (_aurocs(columns, half) for half in halves)
        both = np.where(first >= 0.5, np.minimum(first, second), 1 - np.maximum(first, second))
        best = int(both.argmax())
        context = best - t.log.x.shape[1]
        name = f"context column {context + 1}" if context >= 0 else f"feature column {best + 1}"
        more = int((both > LEAK).sum()) - 1
        name += f" (and {more} more)" if more > 0 else ""
        leaks.append((float(both[best]), f"{name} ranks {what} with AUROC {both[best]:.3f}"))
    if not leaks:
        raise NotApplicableError(
            f"each half of the log needs {PROMPTS} prompts with a good and {PROMPTS} with a bad answer, and "
            f"has {', '.join(counts) or 'no answers'}"
        )
    value, sentence = max(leaks)
    if value <= LEAK:
        return Check("leaked_label", True, value, LEAK, f"the best of all columns, {sentence}")
    sentence += (
        " on its own: it seems to be computed from the label; leave it out, or use it as gold"
    )
    return Check("leaked_label", False, value, LEAK, sentence)


def coarse(x: Tensor) -> bool:
    """Return whether rows of features may be equal by chance.

    A column has -log2 P(two rows agree in it) bits. All columns together need 2 log2 n + 10 bits.

    Parameters
    ----------
    x : (n, d) Tensor
        Features.

    """
    some = x[torch.linspace(0, len(x) - 1, min(SAMPLE, len(x))).long()].float().numpy()
    needed = 2 * math.log2(max(2, len(x))) + 10
    bits = 0.0
    for column in some.T:
        share = np.unique(column, return_counts=True)[1] / len(some)
        bits -= math.log2(float(np.square(share).sum()))
        if bits >= needed:
            return False
    return True


def _bytes(x: Tensor) -> list[bytes]:
    rows = x.contiguous().view(torch.uint8).numpy()
    return [row.tobytes() for row in rows]


def _copies(keys: Sequence[object], prompt: NDArray[np.int64]) -> Array:
    """(n,) whether a row with another prompt has the same key."""
    table = pl.DataFrame({"key": pl.Series(keys), "prompt": prompt})
    return table.select(pl.col("prompt").n_unique().over("key") > 1).to_series().to_numpy()


def _prompts(answers: Answers) -> int:
    """Number of prompts with a good answer, or with a bad one, whichever is smaller."""
    return min(len(np.unique(answers.prompt[side])) for side in (answers.good, ~answers.good))


def _aurocs(columns: Tensor, answers: Answers) -> Array:
    """(d,) AUROC of every column, a tie counting half."""
    some = np.linspace(0, len(answers.rows) - 1, min(MOST, len(answers.rows))).astype(int)
    good, weight = answers.good[some].astype(np.float64), answers.weight[some]
    table = columns[torch.from_numpy(answers.rows[some])].double().numpy()
    return np.array([auroc_influence(column, good, w=weight).theta for column in table.T])
