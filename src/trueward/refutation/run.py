"""The checks by name, and one run of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import torch_stream
from trueward.core.suggest import suggestion
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Feedback, prompt_numbers, whole_prompts
from trueward.estimation.requirements import require
from trueward.fitting.fit import configure

from .leaks import duplicate_prompts, leaked_label
from .refits import (
    null_channel,
    permuted_feedback,
    placebo_feedback,
    random_common_cause,
    subset_stability,
)
from .refutation import Check, Refutation
from .trial import NotApplicableError, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trueward.estimation.method import Method
    from trueward.training.loop import Progress

CHECKS: dict[str, Callable[[Trial], Check]] = {
    check.__name__: check
    for check in (
        permuted_feedback,
        placebo_feedback,
        random_common_cause,
        subset_stability,
        duplicate_prompts,
        leaked_label,
        null_channel,
    )
}
ROWS = 20_000  # that are fitted at most
HELD, VAL = 0.3, 0.2  # share of the prompts that judge; and of the others, that fits stop on


def refute(
    method: str | Method,
    log: Feedback,
    *,
    texts: Sequence[str] | None = None,
    seed: int = 0,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Refutation:
    """Try to refute ``method`` on ``log``: 11 fits at most, on the log and on changes of it.

    texts: the prompt of every row, to find copies by. only: names of `CHECKS`. Of more than 20 000 rows
    a random sample of whole prompts is fitted, those with gold labels first. ``options`` are those of `fit`.
    """
    names = known(only)
    made, _ = configure(method, {**options, "seed": seed})
    if made.takes_truth:
        raise UsageError(
            f"{made.name} is fitted on clean labels, which a log has not: choose another"
        )
    if not isinstance(log, Feedback):
        raise TruewardError(
            f"refuting needs the feedback of a log, and was given {type(log).__name__}"
        )
    if texts is not None and len(texts) != len(log):
        raise TruewardError(
            f"texts must name the prompt of each of {len(log)} rows, not {len(texts)}"
        )
    require(made, LogCapabilities.of(log))
    some = sample(log, seed)
    rest, held = some.split(HELD, seed)
    train, val = rest.split(VAL, seed)
    trial = Trial(method, options, made, log, texts, train, val, held, seed, progress)
    found = [_tried(name, trial) for name in names]
    return Refutation(made.name, len(some), len(log), seed, tuple(found))


def sample(log: Feedback, seed: int, most: int = ROWS) -> Feedback:
    """At most so many rows: whole prompts at random, those with gold labels first."""
    if len(log) <= most:
        return log
    g = torch_stream(seed, "refute", "sample")
    return log[whole_prompts(prompt_numbers(len(log), log.group), log.audited, most, g)]


def _tried(name: str, trial: Trial) -> Check:
    try:
        return CHECKS[name](trial)
    except NotApplicableError as e:
        return Check(name, None, None, None, str(e))


def known(only: Iterable[str] | None) -> list[str]:
    """Names of the checks that are asked for; all where none is named."""
    names = list(CHECKS) if only is None else list(only)
    for name in names:
        if name not in CHECKS:
            raise UsageError(f"no check is called {name!r}: {suggestion(name, CHECKS)}")
    return names
