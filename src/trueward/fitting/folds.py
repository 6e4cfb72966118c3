"""Folds of cross-fitting: by prompt, and by user where users and prompts fall into small components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trueward.core.random import torch_stream
from trueward.data.splits import fold_of, prompt_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from trueward.data.feedback import Feedback

LARGEST_COMPONENT = 0.25  # rows of a component, as a share of a fold's rows: folds stay even

BUSY = "by prompt only: with all who share prompts with them, some users have too many rows for equal folds"


@dataclass(frozen=True)
class Folds:
    """The fold of every training row.

    Attributes
    ----------
    fold : Tensor
        (n,) fold of every row.
    why : str
        What is in one fold only, and why users are not.

    """

    fold: Tensor
    why: str

    @staticmethod
    def of(data: Feedback, k: int, seed: int, *, by_user: bool) -> Folds:
        """Assign rows to folds so that no prompt, and where possible no user, is in two of them.

        Prompts and users are a graph with an edge for every row. Its connected components are assigned to
        the smallest fold, the largest first. Where one has more rows than a fold, as with prompts that many
        users ask, only prompts are kept together.

        Parameters
        ----------
        data : Feedback
            Training rows.
        k : int
            Number of folds.
        seed : int
            Root of the random stream.
        by_user : bool
            Whether users are kept together, too, where possible.

        """
        by_prompt = fold_of(len(data), k, seed, data.group)
        if data.user is None or not by_user:
            return Folds(by_prompt, "by prompt")
        size = np.bincount(part := components(data))
        if len(size) < k or size.max() > LARGEST_COMPONENT * len(data) / k:
            return Folds(by_prompt, BUSY)
        order = torch.randperm(len(size), generator=torch_stream(seed, "split")).numpy()
        order = order[np.argsort(-size[order], kind="stable")]
        filled, of_component = np.zeros(k, dtype=np.int64), np.empty(len(size), dtype=np.int64)
        for c in order:
            of_component[c] = smallest = int(filled.argmin())
            filled[smallest] += size[c]
        return Folds(torch.from_numpy(of_component[part]), "by prompt and user")


def components(data: Feedback) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Number the connected components of prompts and users.

    Parameters
    ----------
    data : Feedback
        Rows with users; a row of an unknown user connects its prompt to nobody.

    Returns
    -------
    ndarray of int, shape (n,)
        Component of every row.

    """
    prompt = prompt_numbers(len(data), data.group).numpy()
    prompts = int(prompt.max()) + 1
    assert data.user is not None
    user = data.user.cpu()
    known = np.flatnonzero(user.numpy() >= 0)
    code = torch.unique(user[known], return_inverse=True)[1].numpy() + prompts
    count = int(code.max(initial=prompts - 1)) + 1
    edges = coo_array((np.ones(len(known)), (prompt[known], code)), shape=(count, count))
    label = connected_components(edges, directed=False)[1][prompt]
    return np.unique(label, return_inverse=True)[1].astype(np.int64)
