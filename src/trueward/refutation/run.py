"""Run the checks of a refutation, and collect their results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from trueward.core.arguments import FUNCTION, SEVERAL, WHOLE, described, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.overview import Overview, Shown
from trueward.core.random import torch_stream
from trueward.core.suggest import suggestion
from trueward.data.capabilities import LogCapabilities
from trueward.data.feedback import Feedback, Labelled
from trueward.data.log_reading import as_log
from trueward.data.splits import prompt_numbers, sample_prompts
from trueward.estimation.requirements import require
from trueward.features.given import BACKBONE, feedback_of
from trueward.fitting.fit import configure

from .ask_checks import asked_arms
from .log_checks import duplicate_prompts, leaked_label
from .refit_checks import (
    null_channel,
    permuted_feedback,
    placebo_feedback,
    random_common_cause,
    subset_stability,
)
from .trial import Check, NotApplicableError, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trueward.data.log import Log
    from trueward.estimation.method import Method
    from trueward.training.loop import Progress

#: The checks by name, in the order in which they run.
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
        asked_arms,
    )
}
FLOORS = frozenset({"random_common_cause", "subset_stability", "null_channel"})
ROWS = 20_000  # largest number of rows that are fitted
HELD, VAL = 0.3, 0.2  # share of the prompts held out; share of the others for validation
INDENT = 48  # columns before the sentence


@dataclass(frozen=True, repr=False)
class Refutation(Shown):
    """Results of all attempts to refute a method on a log; ``str()`` is a table.

    See Also
    --------
    refute : Computes it.

    """

    #: Name of the method.
    method: str
    #: Rows that were fitted and judged by.
    rows: int
    #: Rows of the log.
    of: int
    #: Seed of the fits and of the splits.
    seed: int
    #: One result a check.
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the results as plain data."""
        return {"passed": self.passed, **asdict(self), "checks": [asdict(c) for c in self.checks]}

    def _overview(self) -> Overview:
        head = ("check", "verdict", "found", "limit", "reason")
        rows = [[*_columns(c), c.sentence] for c in self.checks]
        return Overview(self._header(), head, rows)

    def __str__(self) -> str:
        """Format a table with one check a row, its sentence in the last column."""
        lines = [self._header(), ""]
        lines.append(f"{'check':<21}{'verdict':<8}{'found':>6}  {'limit':<11}reason")
        for c in self.checks:
            first, *rest = wrap(c.sentence, 72, break_long_words=False, break_on_hyphens=False)
            lines += [_cells(c) + first, *(" " * INDENT + line for line in rest)]
        return "\n".join(lines)

    def _header(self) -> str:
        rows = f"{self.rows:,} rows"
        if self.rows < self.of:
            rows = f"{self.rows:,} of {self.of:,} rows (whole prompts, drawn at random)"
        failed = [c.name for c in self.checks if c.passed is False]
        applied = sum(c.passed is not None for c in self.checks)
        passed = f"not refuted by {applied} of {len(self.checks)} checks"
        result = f"refuted by {', '.join(failed)}" if failed else passed
        return f"{self.method} on {rows}: {result if applied else 'no check applies'}"


def _columns(c: Check) -> tuple[str, str, str, str]:
    verdict = {True: "pass", False: "FAIL", None: "n/a"}[c.passed]
    found = "-" if c.found is None else f"{c.found:.3f}"
    sign = ">=" if c.name in FLOORS else "<="
    limit = "" if c.limit is None else f"{sign} {c.limit:.3f}"
    return c.name, verdict, found, limit


def _cells(c: Check) -> str:
    name, verdict, found, limit = _columns(c)
    return f"{name:<21}{verdict:<8}{found:>6}  {limit:<11}"


def refute(
    method: str | Method,
    log: Feedback | Log | object,
    *,
    texts: Sequence[str] | None = None,
    seed: int = 0,
    only: str | Iterable[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Refutation:
    """Try to refute a method on a log, by fits on changes of the log and by checks of the log itself.

    Parameters
    ----------
    method : str or Method
        A method, or its name.
    log : Feedback, Log, path or table
        The log, with n rows; texts are encoded with the default backbone. Of more than 20,000 rows, fits
        use a random sample of whole prompts, those with gold labels first.
    texts : sequence of str, optional
        Prompt of every row, to find copies by; those of a Log by default.
    seed : int, default 0
        Seed of the fits, of the splits and of the changes.
    only : str or iterable of str, optional
        Names of the checks to run; all by default.
    progress : callable, optional
        Reports the progress of the fits, as for `fit`.
    **options
        Options of the method and of `Train`, as for `fit`.

    Returns
    -------
    Refutation
        One `Check` for each name. Limits are 3 standard deviations of fits to noise, judged by held-out
        answers and clustered by prompt; that of ``asked_arms`` is p = .01.

    Raises
    ------
    UsageError
        If a check or an option is unknown, or the method is fitted on true labels.
    TruewardError
        If ``log`` cannot be read, does not support the method, or does not match ``texts``.

    Examples
    --------
    >>> import torch, trueward as tw
    >>> x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    >>> log = tw.Feedback(x, (x[:, 0] > 0).float(), torch.ones(300), group=torch.arange(300) // 3)
    >>> result = tw.refute("naive", log, only=["duplicate_prompts"])
    >>> result.passed, result.checks[0].found
    (True, 0.0)

    """
    require_kinds(
        "refute",
        texts=(texts, SEVERAL.or_none),
        seed=(seed, WHOLE),
        progress=(progress, FUNCTION.or_none),
    )
    names = selected_checks(only)
    configured, _ = configure(method, {**options, "seed": seed})
    if configured.takes_truth:
        raise UsageError(
            f"{configured.name} is fitted on clean labels, which a log does not have: choose another method"
        )
    if not isinstance(log, Feedback | Labelled):
        log = as_log(log, "refute")
        texts = log.frame["prompt"].to_list() if texts is None else texts
    log = feedback_of(log, BACKBONE, "refute")
    if texts is not None and len(texts) != len(log):
        raise TruewardError(
            f"texts must name the prompt of each of {len(log)} rows, not {len(texts)}"
        )
    require(configured, LogCapabilities.from_feedback(log))
    fitted = sample(log, seed)
    rest, held = fitted.split(HELD, seed)
    train, val = rest.split(VAL, seed)
    trial = Trial(method, options, configured, log, texts, train, val, held, seed, progress)
    checks = tuple(_check(name, trial) for name in names)
    return Refutation(configured.name, len(fitted), len(log), seed, checks)


def sample(log: Feedback, seed: int, most: int = ROWS) -> Feedback:
    """Draw at most ``most`` rows: whole prompts at random, those with gold labels first.

    Parameters
    ----------
    log : Feedback
        The log; it is returned as it is where it is short enough.
    seed : int
        Seed of the draw.
    most : int, default 20,000
        Largest number of rows.

    Returns
    -------
    Feedback
        The rows of the drawn prompts.

    """
    if len(log) <= most:
        return log
    g = torch_stream(seed, "refute", "sample")
    return log[sample_prompts(prompt_numbers(len(log), log.group), log.audited, most, g)]


def _check(name: str, trial: Trial) -> Check:
    try:
        return CHECKS[name](trial)
    except NotApplicableError as e:
        return Check(name, None, None, None, str(e))


def selected_checks(only: str | Iterable[str] | None) -> list[str]:
    """Return the names of the checks to run, and refuse unknown ones.

    Parameters
    ----------
    only : str, iterable of str or None
        Names of checks; None for all.

    Returns
    -------
    list of str
        The names, in the given order.

    Raises
    ------
    UsageError
        If a name is unknown; the message suggests the nearest one.

    """
    names = list(CHECKS) if only is None else [only] if isinstance(only, str) else only
    if not SEVERAL.admits(names):
        raise UsageError(f"refute: only takes names of checks, not {described(only)}")
    names = list(names)
    for name in names:
        if not isinstance(name, str) or name not in CHECKS:
            raise UsageError(f"no check is called {name!r}: {suggestion(name, CHECKS)}")
    return names
