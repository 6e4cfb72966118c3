"""A method on one log: the fit in question, fits on changes of the log, and fits to noise."""

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

from .answers import Answers, correlation, labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.estimation.method import Method
    from trueward.training.loop import Progress

    Array = NDArray[np.float64]
    Change = Callable[[Feedback, torch.Generator], Feedback]

SURE = 3.0  # standard deviations beyond which a result is not due to chance
DRAWS = 200  # fits to noise
SAMPLE = 4096  # rows of such a fit


@dataclass(frozen=True)
class Check:
    """Result of one attempt to refute a fit."""

    #: Name of the check, a key of `CHECKS`.
    name: str
    #: Whether it passed; None where it does not apply, for the reason in the sentence.
    passed: bool | None
    #: The statistic; None where the method refused the changed log.
    found: float | None
    #: The largest value that passes; of the checks in `FLOORS`, the smallest.
    limit: float | None
    #: What the result means, in one sentence.
    sentence: str


class NotApplicableError(Exception):
    """A check does not apply; the message is the reason."""


def unchanged(log: Feedback, _g: torch.Generator) -> Feedback:
    """Return the log as it is.

    Parameters
    ----------
    log : Feedback
        Rows of a log.
    _g : torch.Generator
        Not used; the parameter that every change has.

    Returns
    -------
    Feedback
        The same rows.

    """
    return log


@dataclass(frozen=True, eq=False)
class Trial:
    """A method and a log, split by prompt into training, validation and held-out rows."""

    #: The method as given to `refute`, and its options.
    given: str | Method
    options: dict[str, Any]
    #: The method with these options.
    method: Method
    #: The whole log, before sampling.
    log: Feedback
    #: Prompt of every row of ``log``.
    texts: Sequence[str] | None
    #: Rows to fit on, to stop on, and to judge by.
    train: Feedback
    val: Feedback
    held: Feedback
    seed: int
    progress: Progress | None

    def scored(
        self, stage: str, change: Change, *, again: int = 0, refusable: bool = True
    ) -> Array:
        """Score the held-out rows by a fit on a changed log.

        Parameters
        ----------
        stage : str
            Name of the fit, for progress and for its stream of random numbers.
        change : callable
            Maps rows and a generator to changed rows.
        again : int, default 0
            Added to the seed of the fit.
        refusable : bool, default True
            Whether an error of the fit means that the check does not apply.

        Returns
        -------
        (n,) array
            Scores; the lower ends where the method identifies only an interval.

        Raises
        ------
        NotApplicableError
            If the method refuses the changed log.

        """
        parts = {"train": self.train, "val": self.val, "held": self.held}
        train, val, held = (
            change(d, torch_stream(self.seed, "refute", stage, k)) for k, d in parts.items()
        )
        report = self.progress
        progress: Progress | None = report and (lambda _stage, *rest: report(stage, *rest))
        try:
            options = {**self.options, "seed": self.seed + again}
            scores = fit(self.given, train, val, progress=progress, **options).score_features(
                held.x
            )
        except TruewardError as e:
            if not refusable:
                raise
            raise NotApplicableError(f"it refuses {stage}: {e}") from e
        values = scores.low if scores.reward is None else scores.reward
        assert values is not None
        return np.asarray(values.double().numpy())

    def attempts(self, stage: str, change: Change, times: int) -> tuple[list[Array], str]:
        """Score the held-out rows by several fits, each with another seed than the real fit.

        With the same seed, fits that learn little would agree through their common initial weights.

        Parameters
        ----------
        stage : str
            Name of the fits.
        change : callable
            Maps rows and a generator to changed rows.
        times : int
            Number of fits.

        Returns
        -------
        scores : list of (n,) array
            Scores of the fits that the method did not refuse.
        refusal : str
            Message of the last refusal, or empty.

        """
        scores, refusal = [], ""
        for k in range(times):
            try:
                scores.append(self.scored(f"{stage}, {k + 1} of {times}", change, again=k + 1))
            except NotApplicableError as e:
                refusal = str(e)
        return scores, refusal

    @cached_property
    def real(self) -> Array:
        """(n,) held-out scores of the fit in question, on the log as it is."""
        gold = len(self.train.audited)
        for rows, what, fewest in ((self.train, "to fit on", 1), (self.val, "to stop on", 0)):
            # a method that trains on gold labels needs them among the rows to fit on only
            capabilities = replace(LogCapabilities.from_feedback(rows), gold=gold)
            if (missing := lacking(self.method, capabilities, fewest)) is not None:
                raise NotApplicableError(
                    f"the log is too short to hold out rows to judge by: {len(rows)} rows are left {what}, "
                    f"and {self.method.name} needs {missing}"
                )
        return self.scored("the log as it is", unchanged, refusable=False)

    @cached_property
    def ranking(self) -> Array:
        """(n,) held-out scores of the fit in question, which are not constant."""
        if np.ptp(self.real) == 0:
            raise NotApplicableError("the fit gives all held-out responses the same score")
        return self.real

    @cached_property
    def between_seeds(self) -> float:
        """Rank correlation of the fit in question with a fit with another seed."""
        return correlation(self.ranking, self.scored("another seed", unchanged, again=1))

    @cached_property
    def noise(self) -> Array:
        """(DRAWS, n) held-out scores of linear fits to noise: x X' e with e ~ N(0, 1).

        This is the first gradient step on random feedback. Where features vary in few directions, two such
        fits agree by chance far more than n independent scores would.
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
        """Held-out answers of the first kind of label of which there are enough."""
        kinds = [Answers.of(what, y, self.held) for what, y in labels(self.held)]
        for answers in kinds:
            if answers.enough:
                return answers
        counts = "; ".join(map(str, kinds)) or "none"
        raise NotApplicableError(f"too few held-out answers to judge by ({counts})")

    def chance(self, fits: int, error: float) -> float:
        """Compute the AUROC that the mean of some fits to noise hardly ever exceeds: .5 + 3 sd.

        Parameters
        ----------
        fits : int
            Number of fits.
        error : float
            Standard error of the AUROC of the labels, clustered by prompt; the sd is at least that.

        Returns
        -------
        float
            The limit; the sd is that of the AUROC of `noise` over sqrt(fits).

        Raises
        ------
        NotApplicableError
            If the limit is 1 or more.

        """
        spread = float(np.std([self.answers.auroc(s)[0] for s in self.noise]))
        limit = 0.5 + SURE * max(spread / math.sqrt(fits), error)
        if limit >= 1:
            raise NotApplicableError(
                f"too few held-out answers ({self.answers}), or too few directions of the features, to "
                "distinguish a ranking from chance"
            )
        return limit
