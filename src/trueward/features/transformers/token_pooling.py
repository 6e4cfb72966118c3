"""Pool the activations of a text's tokens into one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

POOLINGS = ("last", "mean", "cls", "max", "weightedmean", "mean_sqrt_len_tokens")


def pool_tokens(h: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Pool activations over the tokens of each text.

    Parameters
    ----------
    h : Tensor, (n, t, d)
        Activations of n texts.
    mask : Tensor, (n, t)
        1 for tokens of the text, 0 for padding, which may be on either side.
    pooling : str
        ``last``, ``cls``: the last and the first token. ``mean``, ``max``: over all tokens.
        ``mean_sqrt_len_tokens``: the sum divided by the root of the number of tokens.
        ``weightedmean``: the mean with weights 1, 2, ... from the left.

    Returns
    -------
    Tensor of float32, (n, d)

    Notes
    -----
    The names and definitions are those of sentence-transformers.

    """
    if pooling in ("last", "cls"):
        position = mask.long() * torch.arange(1, mask.shape[1] + 1, device=mask.device)
        index = position.argmax(1) if pooling == "last" else mask.long().argmax(1)
        return h[torch.arange(len(h), device=h.device), index.to(h.device)].float()
    if pooling == "max":
        return h.float().masked_fill(mask.to(h.device)[..., None] == 0, -torch.inf).amax(1)
    w = mask.to(h.device).float()
    if pooling == "weightedmean":
        w = w * w.cumsum(1)
    total = w.sum(1, keepdim=True).clamp(min=1)
    if pooling == "mean_sqrt_len_tokens":
        total = total.sqrt()
    # activations of padding may be infinite, and 0 times infinity is NaN
    clean = h.float().masked_fill(w[..., None] == 0, 0.0)
    return torch.einsum("ntd,nt->nd", clean, w) / total
