"""Logs made of random numbers, with a known truth."""

import torch

from trueward.data.feedback import Feedback


def log(n=600, seed=0, d=8):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g)
    r = (x[:, 0] + 0.5 * torch.randn(n, generator=g) > 0).float()
    o = (torch.rand(n, generator=g) < torch.sigmoid(x[:, 1])).float()
    return Feedback(x, r * o, o, group=torch.arange(n) // 2)
