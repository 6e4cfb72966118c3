"""Batches of tokens, and the logits that a classifier gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def pad_batch(
    rows: Sequence[Sequence[int]], pad: int, *, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Pad a batch on one side.

    Parameters
    ----------
    rows : sequence of n sequences of int
        Tokens of each text.
    pad : int
        The pad token.
    left : bool, default=False
        Pad on the left.

    Returns
    -------
    tuple of two Tensors of shape (n, t)
        Tokens and attention mask.

    """
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        span = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, span], mask[i, span] = torch.tensor(row), 1
    return ids, mask


def batch_logits(network: Any, rows: Sequence[Sequence[int]], pad: int = 0) -> Tensor:
    """Compute the logits of a batch with the classifier itself.

    Parameters
    ----------
    network : model of transformers
        The classifier.
    rows : sequence of n sequences of int
        Tokens of each text.
    pad : int, default=0
        The pad token, used on the right.

    Returns
    -------
    Tensor of shape (n,), float32
        The logits.

    """
    ids, mask = pad_batch(rows, pad)
    with torch.inference_mode():
        logits: Tensor = network(input_ids=ids, attention_mask=mask).logits[:, 0].float()
    return logits
