"""Detection rate of refutation on planted faults and on sound fits, for benchmarks/doubt_page.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import doubt_worlds as worlds
import numpy as np
import torch

import trueward as tw
from trueward.estimation.losses import bce
from trueward.estimation.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from trueward.data.feedback import Columns, Feedback

LOGS = 40


class Parrot(Method):
    """L = mean l(s, imputation): trains on a given imputation and ignores the feedback."""

    def loss(self, out: Columns, b: Feedback) -> torch.Tensor:
        """Return the loss on the imputation."""
        return bce(out.reward, b.eta.imputation).mean()


def sound(log: Feedback, seed: int) -> bool:
    """Return whether a fit to a log without faults passes all checks."""
    return tw.refute("naive", log, seed=seed).passed


def leak(log: Feedback, seed: int) -> bool:
    """Return whether a log with the feedback as a feature passes the check for leaks."""
    coin = (torch.rand(len(log), generator=torch.Generator().manual_seed(seed)) < 0.5).float()
    assert log.o is not None
    known = torch.where(log.o > 0, log.y, coin)
    leaky = replace(log, x=torch.cat([log.x, known[:, None]], 1))
    return tw.refute("naive", leaky, seed=seed, only=["leaked_label"]).passed


def copies(log: Feedback, seed: int) -> bool:
    """Return whether 2 % duplicated prompts, under new ids, pass the check for duplicates."""
    assert log.group is not None
    again = log[torch.arange(len(log) // 50)]
    both = {f: torch.cat([getattr(log, f), getattr(again, f)]) for f in ("x", "y", "o")}
    group = torch.cat([log.group, again.group + len(log)])
    doubled = type(log)(**both, group=group)
    return tw.refute("naive", doubled, seed=seed, only=["duplicate_prompts"]).passed


def parrot(log: Feedback, seed: int) -> bool:
    """Return whether a method that ignores the feedback passes the placebo check."""
    assert log.o is not None
    told = replace(log, eta=log.eta | {"imputation": (log.x[:, 0] > 0).float()})
    return tw.refute(Parrot(), told, seed=seed, only=["placebo_feedback"], epochs=6).passed


FAULTS = {"leaked label": leak, "duplicated prompt": copies, "placebo that works": parrot}


def verdicts(seed: int) -> dict[str, bool]:
    """Return which faults are flagged on one log, and whether a sound fit is."""
    log = worlds.plain(seed, n=900)
    return {name: not of(log, seed) for name, of in (FAULTS | {"sound fit": sound}).items()}


def refute_lines(each: Callable) -> list[str]:
    """Return the table of flagged logs."""
    found = list(each(verdicts, LOGS))
    lines = [f"| fault | flagged, of {LOGS} logs |", "|---|---:|"]
    return lines + [f"| {name} | {int(np.sum([v[name] for v in found]))} |" for name in found[0]]
