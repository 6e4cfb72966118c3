"""One vector from the activations of a text's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

POOLINGS = ("last", "mean", "cls", "max", "weightedmean", "mean_sqrt_len_tokens")


def pooled(h: Tensor, mask: Tensor, how: str) -> Tensor:
    """Pool h, (n, t, d), over the t tokens where mask, (n, t), is 1; float32 (n, d).

    last and cls: the right-most and the left-most such token, wherever the padding stands. mean: their
    mean; mean_sqrt_len_tokens: their sum over the root of their count; weightedmean: with weights
    1, 2, ... from the left, as in sentence-transformers.
    """
    if how in ("last", "cls"):
        place = mask.long() * torch.arange(1, mask.shape[1] + 1, device=mask.device)
        place = place.argmax(1) if how == "last" else mask.long().argmax(1)
        return h[torch.arange(len(h), device=h.device), place.to(h.device)].float()
    if how == "max":
        return h.float().masked_fill(mask.to(h.device)[..., None] == 0, -torch.inf).amax(1)
    w = mask.to(h.device).float()
    if how == "weightedmean":
        w = w * w.cumsum(1)
    total = w.sum(1, keepdim=True).clamp(min=1)
    if how == "mean_sqrt_len_tokens":
        total = total.sqrt()
    # padding may hold anything, and 0 times infinity is not 0
    clean = h.float().masked_fill(w[..., None] == 0, 0.0)
    return torch.einsum("ntd,nt->nd", clean, w) / total
