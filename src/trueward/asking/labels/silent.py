"""A draw among those who were asked and stayed silent: where a gold label says most about who reacts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.asking.answers import FEWEST, in_lottery
from trueward.core.arguments import NUMBER, WHOLE, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.log_reading import as_log

if TYPE_CHECKING:
    from trueward.data.log import Log

ONLY_SILENT = (
    "these labels stand for the asked who stayed silent and not for the log: read them by trueward ask check "
    "--gold FILE"
)


@dataclass(frozen=True)
class SilentPlan:
    """Asked responses without an answer to label next.

    See Also
    --------
    plan_silent : Computes it.

    """

    #: Wanted width of the 95 % interval of the share of good responses.
    width: float
    #: Number of responses asked, of answers, and of gold labels on the others.
    counts: tuple[int, int, int]
    #: Gold labels on the silent that are needed in all.
    needed: int
    #: (m,) row numbers of the responses to label.
    rows: np.ndarray[tuple[int], np.dtype[np.int64]]
    #: 1 / P(labelled) of each, among the asked who stayed silent; None beside labels that have none.
    gold_weight: float | None
    #: What these labels are for.
    warnings: tuple[str, ...] = (ONLY_SILENT,)

    def __str__(self) -> str:
        """Format the plan as a sentence."""
        asked, answered, now = self.counts
        more = f"label {len(self.rows)} more" if len(self.rows) else "that is enough"
        return (
            f"{asked:,} asked, {answered:,} answered; a 95 % interval of the share of good responses of "
            f"width {self.width:g} needs at most {self.needed} gold labels on the silent; the log has "
            f"{now}: {more}"
        )


def plan_silent(log: Log | object, width: float, *, seed: int = 0) -> SilentPlan:
    """Compute how many of the asked who stayed silent to label, and draw them uniformly.

    The variance of `asked_share` with M labels on the silent, in the worst case of their share of good ones:
    M = (1 - A)^2 / 4 / ((width / (2 * 1.96))^2 - the part of the answers).

    Parameters
    ----------
    log : Log, path or table
        With ``asked``, ``p_ask`` and where possible ``seen``.
    width : float
        Wanted width of the 95 % interval of the share of good responses, in (0, 1).
    seed : int, default 0
        Seed of the draw; a draw for a smaller width contains that for a larger one.

    Returns
    -------
    SilentPlan
        With the rows to label.

    Raises
    ------
    UsageError
        If the width is not in (0, 1).
    TruewardError
        If the log tells of no lottery, nobody was asked, or too few were asked for the width.

    Examples
    --------
    >>> import trueward as tw
    >>> frame = pl.DataFrame({"prompt": [str(i) for i in range(900)], "response": "r"}).with_columns(
    ...     asked=1, p_ask=0.5, feedback=pl.Series([1.0] * 500 + [None] * 400)
    ... )
    >>> plan = plan_silent(tw.read_log(frame), 0.1)
    >>> plan.counts, plan.needed == len(plan.rows), round(plan.gold_weight * plan.needed)
    ((900, 500, 0), True, 400)

    """
    require_kinds("plan_silent", width=(width, NUMBER), seed=(seed, WHOLE))
    log = as_log(log, "plan_silent")
    if not 0 < width < 1:
        raise UsageError(f"the width of an interval lies between 0 and 1, and is {width:g}")
    in_lottery(log)
    arm = log.frame.with_row_index("row").filter((pl.col("p_ask") > 0) & (pl.col("asked") == 1))
    if "seen" in arm.columns:
        arm = arm.filter(pl.col("seen").fill_null(1) == 1)
    silent = arm.filter(pl.col("feedback").is_null())
    asked, answered = arm.height, arm.height - silent.height
    if not silent.height:
        raise TruewardError(f"{log.source} has no response that was asked about and got no answer")
    up = replace(log, frame=arm.drop_nulls("feedback"))
    share = up.share_of(up.frame["feedback"]) if answered else 0.5
    needed = _labels(asked, answered / asked, share, width)
    if needed is None:
        raise TruewardError(
            f"{asked} asked are too few for an interval of width {width:g}, even with a label on all of the "
            f"{silent.height} silent: ask more (trueward ask plan), or take a larger width"
        )
    needed = min(silent.height, max(FEWEST, needed))
    labelled = (
        silent["gold"].is_not_null()
        if "gold" in silent.columns
        else pl.repeat(value=False, n=silent.height, eager=True)
    )
    order = silent["row"].to_numpy()[numpy_stream(seed, "silent plan").permutation(silent.height)]
    rest = order[~np.isin(order, silent.filter(labelled)["row"].to_numpy())]
    now = int(labelled.sum())
    rows = np.sort(rest[: max(0, needed - now)]).astype(np.int64)
    alone = "gold" not in log.columns
    return SilentPlan(
        width, (asked, answered, now), needed, rows, silent.height / needed if alone else None
    )


def _labels(asked: int, a: float, up: float, width: float) -> int | None:
    """Labels on the silent that give the width if half of them are good; None where more asks are needed."""
    answers = a * up * (1 - up) / asked + max(up, 1 - up) ** 2 * a * (1 - a) / asked
    rest = (width / (2 * 1.959964)) ** 2 - answers
    if rest <= 0 or (1 - a) ** 2 * 0.25 / rest > asked * (1 - a):
        return None
    return math.ceil((1 - a) ** 2 * 0.25 / rest)
