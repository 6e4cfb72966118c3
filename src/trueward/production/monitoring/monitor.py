"""Compare a new log with a reference, period by period: which of four drifts is beyond chance."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, get_args

import numpy as np

from trueward.core.arguments import MAPPING, NUMBER, TEXT, WHOLE, Kind, require_kinds
from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.core.influence import auroc_influence
from trueward.core.suggest import suggestion
from trueward.data.log_reading import as_log
from trueward.estimation.asked_labels import labels_of_all
from trueward.model.reward_model import fitted

from .drift import NAMES, Drift, named
from .drifts import Comparison
from .gold_rows import gold_drift, gold_metrics, gold_rows
from .looks import interval_level, window_lengths
from .periods import By, looks_of, with_time
from .result import Monitor, Period
from .rows import live_feedback, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trueward.core.estimate import Estimate
    from trueward.data.log import Log
    from trueward.evaluation.prediction_powered import AuditRows
    from trueward.model.reward_model import RewardModel

    from .rows import MonitoredRows

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

DAY = Kind("a date", lambda v: isinstance(v, date))
#: Changes of no concern: of the AUROC from 0.5, of the rate of reactions as a share, of two probabilities.
TOLERANCE = {"traffic": 0.1, "behaviour": 0.2, "quality": 0.03, "calibration": 0.05}


def monitor(
    model: RewardModel | str | Path,
    reference: Log | object,
    log: Log | object,
    *,
    by: By | None = None,
    since: date | None = None,
    alpha: float = 0.05,
    tolerance: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Monitor:
    """Compare a log with a reference, period by period, in four drifts that are kept apart.

    ``traffic``: the prompts differ (AUROC of the best linear classifier of reference and new prompts).
    ``behaviour``: users react more or less often to the same responses (a ratio). ``quality``: the responses
    to the same prompts have another mean reward. ``calibration``: the same responses are good more or
    less often than the model says, by ratings or, where the log has gold labels, by a prediction-powered
    audit.

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model that reads text, or its folder.
    reference : Log, path or table
        What is normal, such as the log that the model was fitted on.
    log : Log, path or table
        The new log. ``gold`` in it, on a random draw of rows, measures the calibration itself.
    by : {"day", "week", "month"}, optional
        Periods; needs ``time`` in the log. By default the whole log is one period.
    since : date, optional
        When the monitoring began: looks count from there, also those that this log no longer holds. By
        default from the first period of the log.
    alpha : float, default 0.05
        Probability that any interval of any drift at any look misses, however many looks there are.
    tolerance : mapping of str to float, optional
        Name of a drift -> change of no concern; by default traffic 0.1, behaviour 0.2, quality 0.03,
        calibration 0.05.
    seed : int, default 0
        Seed of the folds of an audit.

    Returns
    -------
    Monitor
        The periods with their drifts; ``fires`` tells whether to retrain.

    Raises
    ------
    TruewardError
        If the log has no ``time`` where periods are asked for, or a period would be before ``since``.
    UsageError
        If alpha, a tolerance or a period is out of range, or both logs are one.

    Notes
    -----
    A drift is detected if its interval excludes "unchanged", and fires if the nearer end of the interval is
    beyond the tolerance. Intervals are clustered by prompt and user and include the error of the reference.
    `trueward.production.monitoring.looks` states how alpha is spent, and
    `trueward.production.monitoring.drifts` the estimates.

    References
    ----------
    .. [1] Darling and Robbins, Confidence sequences for mean, variance, and median, PNAS 1967.
    .. [2] Lan and DeMets, Discrete sequential boundaries for clinical trials, Biometrika 1983.
    .. [3] Angelopoulos et al., Prediction-powered inference, Science 2023.

    Examples
    --------
    >>> import trueward as tw
    >>> from trueward.simulation import helpdesk, simulate
    >>> world = simulate(helpdesk(300), mechanism="mcar", rate=0.5, test_share=0.5)
    >>> other = simulate(helpdesk(300, seed=1), mechanism="mcar", rate=0.1, test_share=0.5)
    >>> reference, log = tw.read_log(world.log), tw.read_log(other.log)
    >>> rm = tw.fit("naive", *tw.encode(reference).split(0.2), epochs=2)
    >>> found = tw.monitor(rm, reference, log)
    >>> found["behaviour"].detected, found["behaviour"].value < 0.4
    (True, True)

    """
    require_kinds("monitor", alpha=(alpha, NUMBER), tolerance=(tolerance, MAPPING.or_none))
    require_kinds("monitor", by=(by, TEXT.or_none), since=(since, DAY.or_none), seed=(seed, WHOLE))
    model, reference = fitted(model, "monitor"), as_log(reference, "monitor")
    log, limits = as_log(log, "monitor"), _tolerances(tolerance)
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must be between 0 and 1, and is {alpha:g}")
    if by is not None and by not in get_args(By):
        raise UsageError(f"by is day, week or month, not {by!r}")
    if not len(reference) or not len(log):
        raise TruewardError(f"{(log if len(reference) else reference).source} has no rows")
    if reference is log or reference.fingerprint == log.fingerprint:
        raise UsageError(
            f"reference and log are the same rows ({log.source}): give the log of a later time"
        )
    log, warnings = with_time(log, by)
    names, number = looks_of(log, by, since)
    rows, data, uneven = read_rows(model, reference, log)
    live, asks = labels_of_all(live_feedback(data, len(reference)))
    audited = gold_rows(model, live, seed, future=bool(asks))
    periods = compare(
        rows, len(reference), number, names, alpha=alpha, tolerance=limits, gold=audited
    )
    metrics: dict[str, Estimate] = {}
    if audited is not None and not isinstance(audited, str):
        metrics = gold_metrics(audited)
    return Monitor(
        tuple(periods),
        by,
        alpha,
        len(reference),
        metrics,
        (*warnings, *uneven, *_few(periods), *filter(None, (asks,))),
    )


def compare(
    rows: MonitoredRows,
    first: int,
    number: Index,
    names: list[str],
    *,
    alpha: float,
    tolerance: dict[str, float],
    gold: AuditRows | str | None = None,
) -> list[Period]:
    """Compare every period of a log with the reference.

    Parameters
    ----------
    rows : MonitoredRows
        The rows of the reference, then those of the log.
    first : int
        Number of the rows of the reference.
    number : (n,) array of int
        Number of the look of every row of the log, from 1.
    names : list of str
        Name of every look up to the last; periods that the log does not hold are skipped.
    alpha : float
        Error level of all intervals together.
    tolerance : dict of str to float
        Tolerance of every drift.
    gold : AuditRows, str or None
        Result of `gold_rows`.

    Returns
    -------
    list of Period
        One for every look whose period has rows.

    """
    units = clusters(len(rows), group=rows.group, user=rows.user)
    comparison = Comparison(rows, first, units, tolerance)
    periods = []
    for look in np.unique(number):
        level = interval_level(int(look), alpha, len(NAMES))
        each = []
        for length in window_lengths(int(look)):
            window = np.flatnonzero((number > look - length) & (number <= look))
            start = max(look - length + 1, int(number.min()))
            if length > 1 and start == look:
                continue
            found = comparison.drifts(window + first, level)
            if gold is not None:
                found["calibration"] = gold_drift(gold, window, level, tolerance["calibration"])
            since, span = names[start - 1], int(look - start + 1)
            each.append({k: named(d, since, span) for k, d in found.items()})
        periods.append(_period(rows, first, number == look, names[look - 1], each))
    return periods


def _period(
    rows: MonitoredRows,
    first: int,
    here: NDArray[np.bool_],
    name: str,
    each: list[dict[str, Drift]],
) -> Period:
    part = rows.take(np.flatnonzero(here) + first)
    share = part.weight / part.weight.sum()
    reward = expected = None
    if part.p is not None:
        reward = float(share @ part.p)
        if 0 < reward < 1 and len(part) > 1:
            expected = auroc_influence(part.p, part.p, w=part.weight).theta
    return Period(
        name,
        len(part),
        int((part.rated > 0).sum()),
        each[0],
        {k: max((found[k] for found in each), key=_strength) for k in NAMES},
        reward,
        expected,
    )


def _strength(drift: Drift) -> tuple[float, int]:
    """Order of the windows of a drift: the surest change, else the longest window with an interval."""
    return drift.excess, drift.periods if drift.low is not None else 0


def _tolerances(given: Mapping[str, float] | None) -> dict[str, float]:
    given = dict(given or {})
    for name, value in given.items():
        if name not in NAMES:
            raise UsageError(f"there is no drift {name!r}: {suggestion(name, NAMES)}")
        require_kinds("monitor", tolerance=(value, NUMBER))
        if not 0 <= value < (0.5 if name == "traffic" else np.inf):
            raise UsageError(
                f"the tolerance of {name} must be 0 or more{', and below 0.5' if name == 'traffic' else ''}, "
                f"and is {value:g}"
            )
    return TOLERANCE | given


def _few(periods: list[Period]) -> tuple[str, ...]:
    """Warn where the newest period cannot tell of a drift."""
    newest = periods[-1].strongest
    return tuple(f"{k} cannot be told: {d.reason}" for k, d in newest.items() if d.reason)
