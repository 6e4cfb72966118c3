"""What a lottery of asks is worth beside gold labels, and how many to ask, by Fisher information."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.arguments import NUMBER, WHOLE, require_kinds
from trueward.core.errors import UsageError
from trueward.core.overview import Overview, Shown

from .answers import FEWEST_ANSWER
from .ask_information import share_error

if TYPE_CHECKING:
    from trueward.data.log import Log

    from .fairness import AskCheck

SHARES = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)  # probabilities of asking that are compared
ODDS_RATIOS = (1 / 3, 1.0, 3.0)  # of reacting, good against bad; the worst of them counts
CHANGE_SD = 0.7  # prior of d: what asking adds to b
NO_CHANGE_SD = 1e-6  # d = 0
Z = 1.959964
HEADS = ("p", "asked", "answers", "width by asks alone", "worth in gold", "labels of the silent")


@dataclass(frozen=True)
class AskOption:
    """One probability of asking, and what it buys.

    Attributes
    ----------
    p : float
        Probability of asking.
    asked, answers : float
        Expected number of responses asked, and of answers.
    width : (float, float) or None
        Width of the 95 % interval of the share of good responses from the asks alone, in the worst case of
        the odds ratios tried: where asking does not change the odds ratio of reacting, and where it may.
        None where too few answer.
    worth : (float, float) or None
        Number of random gold labels with these widths.
    labels : int or None
        Gold labels on the asked who stay silent that give the wanted width; None where more asks are needed.

    """

    p: float
    asked: float
    answers: float
    width: tuple[float, float] | None
    worth: tuple[float, float] | None
    labels: int | None


@dataclass(frozen=True, repr=False)
class AskPlan(Shown):
    """How many responses to ask about; ``str()`` is a table.

    See Also
    --------
    plan_asks : Computes it.

    """

    #: Wanted width of the 95 % interval of the share of good responses.
    width: float
    #: Number of responses.
    responses: int
    #: Share of the asked who are expected to answer.
    answering: float
    #: Random gold labels that give the width without any asks.
    gold: int
    #: Probabilities of asking, in rising order.
    options: tuple[AskOption, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "width": self.width,
            "responses": self.responses,
            "answering": self.answering,
            "gold": self.gold,
            "options": [vars(option) for option in self.options],
        }

    def _rows(self) -> list[tuple[str, ...]]:
        """One row of text for each probability of asking, in the order of `HEADS`."""
        rows: list[tuple[str, ...]] = []
        for o in self.options:
            width = "-" if o.width is None else "{:.2f} to {:.2f}".format(*o.width)
            worth = "-" if o.worth is None else "{1:,.0f} to {0:,.0f}".format(*o.worth)
            labels = "-" if o.labels is None else f"{o.labels:,}"
            rows.append((f"{o.p:g}", f"{o.asked:,.0f}", f"{o.answers:,.0f}", width, worth, labels))
        return rows

    def _overview(self) -> Overview:
        title, gold, *rest = str(self).splitlines()
        return Overview(title, HEADS, self._rows(), [gold, *rest[len(self.options) + 3 :]])

    def __str__(self) -> str:
        """Format the plan as a table, and name the cheapest ways to the width."""
        sizes = (6, 9, 9, 21, 15, 22)
        aim = f"wanted: a 95 % interval of the share of good responses of width {self.width:g}"
        lines = [
            f"{self.responses:,} responses, of the asked {self.answering:.0%} answer; {aim}",
            f"random gold labels alone: {self.gold:,}",
            "",
            *(
                "".join(f"{cell:>{n}}" for cell, n in zip(cells, sizes, strict=True))
                for cells in (HEADS, *self._rows())
            ),
        ]
        lines.append("")
        alone = [o for o in self.options if o.width is not None and o.width[0] <= self.width]
        if self.answering < FEWEST_ANSWER:
            lines.append(
                f"below {FEWEST_ANSWER:.0%} answering, asks alone give bounds only: make answering "
                "easier, or label the asked who stay silent"
            )
        elif not alone:
            lines.append(
                "asks alone do not reach the width, if the odds ratio of reacting is 1/3 to 3"
            )
        else:
            lines.append(
                f"asks alone reach it from p = {alone[0].p:g}, if asking does not change the odds ratio of "
                "reacting (the first width; the second is for a change of sd .7)"
            )
        both = next((o for o in self.options if (o.labels or self.gold) < self.gold), None)
        if both is not None:
            lines.append(
                f"with gold labels on the asked who stay silent, nothing is assumed of who answers: "
                f"p = {both.p:g} and {both.labels:,} labels"
            )
        return "\n".join(lines)


def plan_asks(
    responses: int,
    width: float,
    *,
    answering: float = 0.4,
    unasked: float = 0.05,
    up: float = 0.7,
) -> AskPlan:
    """Compute what asking about a random share of the responses buys.

    Asks alone: the Fisher information of all outcomes (up, down, none) of two arms about logit g, b, d and
    the level of each arm, with logit P(react given r, arm t) = h_t + (b + d [t asked]) (r - 1/2) and b ~ N(0,
    1); homogeneous responses. d = 0, or d ~ N(0, .7^2), which two arms do not estimate: it decides the second
    width. The odds ratios e^b 1/3, 1 and 3 are tried, with the share of good responses g that ``up`` then
    implies, and the widest interval counts.

    With M gold labels on the asked who stay silent: V = A^2 q (1 - q) / (n A) + (1 - A)^2 m (1 - m) / M +
    (q - m)^2 A (1 - A) / n for n asked, in the worst case m = 1/2, see `asked_share`.

    Parameters
    ----------
    responses : int
        Number of responses, such as those of a month.
    width : float
        Wanted width of the 95 % interval of the share of good responses, in (0, 1).
    answering : float, default 0.4
        Share of the asked who answer.
    unasked : float, default 0.05
        Share of the others who react.
    up : float, default 0.7
        Share of thumbs up among those who react unasked.

    Returns
    -------
    AskPlan
        A row for each probability of asking from 1 to 50 %.

    Raises
    ------
    UsageError
        If a number is out of range.

    Examples
    --------
    >>> plan = plan_asks(20_000, 0.1, answering=0.6)
    >>> plan.gold, [o.p for o in plan.options if o.labels is not None][0]
    (385, 0.03)

    """
    require_kinds(
        "plan_asks",
        responses=(responses, WHOLE),
        width=(width, NUMBER),
        answering=(answering, NUMBER),
        unasked=(unasked, NUMBER),
        up=(up, NUMBER),
    )
    for name, value in {
        "width": width,
        "answering": answering,
        "unasked": unasked,
        "up": up,
    }.items():
        if not 0 < value < 1:
            raise UsageError(f"plan_asks: {name} must lie between 0 and 1, not {value:g}")
    if responses < 1:
        raise UsageError(f"plan_asks: responses must be at least 1, not {responses}")
    options = []
    for p in SHARES:
        width_by_asks, worth = None, None
        if answering >= FEWEST_ANSWER:
            (same, most), (changed, least) = _by_asks(responses, p, answering, unasked, up)
            width_by_asks, worth = (2 * Z * same, 2 * Z * changed), (most, least)
        labels = _labels(responses * p, answering, up, width)
        options.append(
            AskOption(p, responses * p, responses * p * answering, width_by_asks, worth, labels)
        )
    gold = int(np.ceil(0.25 * (2 * Z / width) ** 2))
    return AskPlan(width, responses, answering, gold, tuple(options))


def worth_in_gold(check: AskCheck) -> tuple[float, float] | None:
    """Return the number of random gold labels that the answers to a lottery are worth.

    Parameters
    ----------
    check : AskCheck
        Of a log.

    Returns
    -------
    (float, float) or None
        Where asking may change the odds ratio of reacting, and where it does not; the worst of the odds
        ratios 1/3, 1 and 3. None where too few of the asked answer, or a part has no answer.

    """
    n, asked, _ = check.counts
    answering, unasked, up = check.answering.value, check.unasked.value, check.up
    if (
        not answering
        or answering < FEWEST_ANSWER
        or answering == 1
        or not unasked
        or not 0 < up < 1
    ):
        return None
    (_, most), (_, least) = _by_asks(n, asked / n, answering, unasked, up)
    return least, most


def _by_asks(
    n: float, p: float, answering: float, unasked: float, up: float
) -> list[tuple[float, float]]:
    """Standard error of asks alone and its worth in gold labels: asking changes nothing, or it may."""
    errors = [
        max(share_error(n, p, answering, unasked, up, r, sd) for r in ODDS_RATIOS)
        for sd in (NO_CHANGE_SD, CHANGE_SD)
    ]
    return [(error, g * (1 - g) / error**2) for error, g in errors]


def _labels(asked: float, a: float, up: float, width: float) -> int | None:
    """Gold labels on the silent that give the width, in the worst case of their share of good ones."""
    wanted = (width / (2 * Z)) ** 2
    rest = a * up * (1 - up) / asked + max(up, 1 - up) ** 2 * a * (1 - a) / asked
    if rest >= wanted:
        return None
    labels = int(np.ceil((1 - a) ** 2 * 0.25 / (wanted - rest)))
    return labels if labels <= asked * (1 - a) else None


def reactions(log: Log) -> dict[str, Any]:
    """Return what `plan_asks` reads from a log: responses, share of reactions, share of thumbs up.

    Parameters
    ----------
    log : Log
        Responses that were asked by a lottery are left out.

    Returns
    -------
    dict
        ``responses``, and ``unasked`` and ``up`` where they lie between 0 and 1.

    """
    rows = log.frame
    if "asked" in log.columns:
        rows = rows.filter(pl.col("asked").fill_null(0) == 0)
    unasked = replace(log, frame=rows)
    rated = replace(log, frame=rows.drop_nulls("feedback"))
    shares = {
        "unasked": unasked.feedback_rate if len(unasked) else 0.0,
        "up": rated.share_of(rated.frame["feedback"]) if len(rated) else 0.0,
    }
    return {
        "responses": len(log),
        **{name: share for name, share in shares.items() if 0 < share < 1},
    }
