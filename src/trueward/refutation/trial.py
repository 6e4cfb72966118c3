"""A method on one log, fitted again and again on changes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.core.random import torch_stream
from trueward.data.capabilities import LogCapabilities
from trueward.estimation.requirements import lacking
from trueward.fitting.fit import fit
from trueward.training.preprocessing import Standardizer

from .changes import unchanged
from .judge import Answers, correlation, labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.estimation.method import Method
    from trueward.training.loop import Progress

    from .changes import Change

    Array = NDArray[np.float64]

SURE = 3.0  # standard deviations that are not put down to chance
DRAWS = 200  # fits to noise that chance is measured on
SAMPLE = 4096  # rows that these are fitted on


class NotApplicableError(Exception):
    """A check has nothing to go by, and why."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A method, and a log split by prompt into rows to fit on, to stop on and to judge by."""

    named: str | Method
    options: dict[str, Any]
    method: Method
    log: Feedback
    texts: Sequence[str] | None  # the prompt of every row
    train: Feedback
    val: Feedback
    held: Feedback
    seed: int
    progress: Progress | None

    def scored(
        self, stage: str, change: Change, *, again: int = 0, refusable: bool = True
    ) -> Array:
        """(n,) held-out scores of a fit on changed rows, a lower end where the method gives no more.

        A refusal of the changed log is a reason why a check does not apply.
        """
        parts = {"train": self.train, "val": self.val, "held": self.held}
        train, val, held = (
            change(d, torch_stream(self.seed, "refute", stage, k)) for k, d in parts.items()
        )
        told = self.progress
        progress: Progress | None = told and (lambda _stage, *rest: told(stage, *rest))
        try:
            options = {**self.options, "seed": self.seed + again}
            scores = fit(self.named, train, val, progress=progress, **options).score_features(
                held.x
            )
        except TruewardError as e:
            if not refusable:
                raise
            raise NotApplicableError(f"it refuses {stage}: {e}") from e
        found = scores.low if scores.reward is None else scores.reward
        assert found is not None
        return np.asarray(found.double().numpy())

    def attempts(self, stage: str, change: Change, times: int) -> tuple[list[Array], str]:
        """What of so many fits was not refused, and what a refusal said.

        None begins as the real fit did: where little is learned, a common beginning shows in the scores.
        """
        found, refusal = [], ""
        for k in range(times):
            try:
                found.append(self.scored(f"{stage}, {k + 1} of {times}", change, again=k + 1))
            except NotApplicableError as e:
                refusal = str(e)
        return found, refusal

    @cached_property
    def real(self) -> Array:
        """(n,) held-out scores of the fit in question."""
        gold = len(self.train.audited)
        for rows, what in ((self.train, "to fit on"), (self.val, "to stop on")):
            # what trains on gold labels needs them among the rows to fit on only
            facts = replace(LogCapabilities.of(rows), gold=gold)
            if (missing := lacking(self.method, facts)) is not None:
                raise NotApplicableError(
                    f"the log is too short to keep rows to judge by: of the {len(rows)} that are left {what} "
                    f"{self.method.name} needs {missing}"
                )
        return self.scored("the log as it is", unchanged, refusable=False)

    @cached_property
    def ranking(self) -> Array:
        """The same, where they rank anything."""
        if np.ptp(self.real) == 0:
            raise NotApplicableError("the fit gives all held-out responses one score")
        return self.real

    @cached_property
    def between_seeds(self) -> float:
        """Rank correlation between the fit and one with another seed."""
        return correlation(self.ranking, self.scored("another seed", unchanged, again=1))

    @cached_property
    def noise(self) -> Array:
        """(DRAWS, n) held-out scores of linear fits to noise: x X' e with e ~ N(0, 1).

        This is the first gradient step on feedback that means nothing. Where features vary in few
        directions, two such fits agree by chance far more than n independent scores would.
        """
        standard = Standardizer.fit(self.train.x)
        g = torch_stream(self.seed, "refute", "noise")
        rows = torch.randperm(len(self.train), generator=g)[:SAMPLE]
        e = torch.randn(len(rows), DRAWS, generator=g)
        w = standard(self.train.x[rows], torch.float32).T @ e
        scores = [standard(x, torch.float32) @ w for x in self.held.x.split(SAMPLE)]
        return np.asarray(torch.cat(scores).T.double().numpy())

    @cached_property
    def answers(self) -> Answers:
        """Of the kinds of answers to held-out rows, the first of which there are enough."""
        kinds = [Answers.of(what, y, self.held.group) for what, y in labels(self.held)]
        for answers in kinds:
            if answers.enough:
                return answers
        counts = "; ".join(map(str, kinds)) or "none"
        raise NotApplicableError(f"too few held-out answers to judge by ({counts})")

    def chance(self, fits: int, error: float) -> float:
        """.5 + 3 sd: AUROC that the mean of ``fits`` fits to noise hardly ever exceeds.

        For given labels the AUROC of `noise` spreads with the number of the labels as with the directions of
        the features; it is never taken to be less than ``error``, that of the labels by prompt.
        """
        spread = float(np.std([self.answers.auroc(s)[0] for s in self.noise]))
        limit = 0.5 + SURE * max(spread / math.sqrt(fits), error)
        if limit >= 1:
            raise NotApplicableError(
                f"too few held-out answers ({self.answers}), or too few directions of the features, to "
                "tell a ranking from chance"
            )
        return limit
