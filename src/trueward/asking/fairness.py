"""Check that a lottery was fair: it follows from ids and key, at its rate, whatever the response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.arguments import TEXT, require_kinds
from trueward.core.overview import Shown
from trueward.data.log_reading import as_log

from .answers import FEWEST_ANSWER, answering_rate, in_lottery
from .lottery_tests import contradictions, dependence_test, mismatches, share_test, users_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.core.estimate import Estimate
    from trueward.data.log import Log

ALARM = 0.001  # a fair lottery raises each alarm once in a thousand logs


@dataclass(frozen=True, repr=False)
class AskCheck(Shown):
    """What a log says about the lottery that decided whether to ask; ``str()`` is a text.

    See Also
    --------
    check_asks : Computes it.

    """

    #: Number of responses in the lottery (p_ask above 0), of those asked, and that it was expected to ask.
    counts: tuple[int, int, float]
    #: Distinct values of p_ask above 0, with the number of responses of each.
    rates: tuple[tuple[float, int], ...]
    #: P-value of the share of asked responses; None where every p_ask is 1.
    share_p: float | None
    #: P-value of no dependence on what a response is, and the column that depends most.
    dependence: tuple[float, str] | None
    #: Responses whose ``asked`` does not follow from id, key and p_ask; None without a key.
    mismatched: int | None
    #: Share of the asked who saw the question; None where the log does not say.
    seen: float | None
    #: Share of the asked (and shown) who reacted, and of the others, with 95 % intervals.
    answering: Estimate
    unasked: Estimate
    #: Share of thumbs up among the reactions of those who were not asked; 0 without any.
    up: float
    #: What is wrong: the log cannot be used as a lottery.
    problems: tuple[str, ...]
    #: What to know.
    notes: tuple[str, ...]

    @property
    def fair(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "in_lottery": self.counts[0],
            "asked": self.counts[1],
            "expected": self.counts[2],
            "rates": [list(rate) for rate in self.rates],
            "share_p": self.share_p,
            "dependence_p": None if self.dependence is None else self.dependence[0],
            "mismatched": self.mismatched,
            "seen": self.seen,
            "answering": self.answering.to_json(),
            "unasked": self.unasked.to_json(),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """Format the check as lines."""
        n, asked, expected = self.counts
        lines = [f"{n:,} responses in the lottery, {asked:,} asked ({expected:,.1f} expected)"]
        if self.share_p is not None:
            lines.append(f"share of asked responses: p = {self.share_p:.3f}")
        if self.dependence is not None:
            lines.append(f"the same for all kinds of responses: p = {self.dependence[0]:.3f}")
        if self.mismatched is not None:
            lines.append(f"follows from id and key: all but {self.mismatched:,}")
        if self.seen is not None:
            lines.append(f"the question was on the screen: {self.seen:.0%} of the asked")
        lines.append(f"reacted: {self.answering} of the asked, {self.unasked} of the others")
        lines += [f"problem: {text}" for text in self.problems]
        lines += [f"note: {text}" for text in self.notes]
        return "\n".join([*lines, "the lottery is fair" if self.fair else "not a fair lottery"])


def check_asks(log: Log | object, key: str | None = None) -> AskCheck:
    """Check that the lottery of a log was fair.

    - Its share: sum asked against sum p_ask, z = (sum a - sum p) / sqrt(sum p (1 - p)).
    - Its independence: the score test of a - p on what is known before the question: lengths of prompt and
      response, time, model, and context. For p alike it is that of a logistic regression.
    - Its spread over users, where the log has them: see `trueward.asking.lottery_tests.users_test`.
    - Recomputation: asked = [H(key, id) < p_ask 2^64], see `ask`.

    Parameters
    ----------
    log : Log, path or table
        With ``asked`` and ``p_ask``.
    key : str or None
        The key of the lottery; recomputation needs it, and ``response_id``.

    Returns
    -------
    AskCheck
        A lottery is unfair if a test rejects at .001, or if one response does not follow from its id.

    Raises
    ------
    TruewardError
        If the log tells of no lottery, or a key is given and there are no ids.

    Examples
    --------
    >>> import polars as pl, trueward as tw
    >>> drawn = [tw.ask(str(i), 0.5, "k") for i in range(400)]
    >>> log = tw.read_log(
    ...     pl.DataFrame({"prompt": "p", "response": "r", "response_id": [str(i) for i in range(400)]})
    ...     .with_columns(pl.DataFrame([a.columns() for a in drawn]))
    ...     .with_columns(feedback=pl.Series([1 if a.asked else None for a in drawn]))
    ... )
    >>> check_asks(log, "k").fair, check_asks(log, "another key").fair
    (True, False)

    """
    require_kinds("check_asks", key=(key, TEXT.or_none))
    log = as_log(log, "check_asks")
    frame = in_lottery(log)
    a, p = (frame[name].to_numpy().astype(np.float64) for name in ("asked", "p_ask"))
    problems, notes = contradictions(log.frame), []
    share_p = share_test(a, p)
    if share_p is not None and share_p < ALARM:
        problems.append(
            f"{int(a.sum()):,} responses were asked where {p.sum():,.1f} are expected (p = {share_p:.1e}): "
            "asks were lost, or p_ask is not the probability that was used"
        )
    dependence = dependence_test(frame, a, p)
    if dependence is not None and dependence[0] < ALARM:
        problems.append(
            f"who was asked depends on the response (p = {dependence[0]:.1e}), most of all on "
            f"{dependence[1]}: only some users or responses were asked"
        )
    if (users_p := _users(frame, a, p)) is not None and users_p < ALARM:
        problems.append(
            f"some users were asked more often than the lottery asks (p = {users_p:.1e}): only some of the "
            "users take part; set p_ask to 0 for the others"
        )
    mismatched = None if key is None else mismatches(frame, key, log.source, problems)
    rates = frame.group_by("p_ask").len().sort("p_ask").rows()
    if len(rates) > 1:
        texts = ", ".join(f"{rate:g} ({count:,} responses)" for rate, count in rates[:5])
        notes.append(f"p_ask has {len(rates)} values: {texts}; each response counts with its own")
    seen = _seen(frame, notes)
    answering, unasked = answering_rate(log, asked=True), answering_rate(log, asked=False)
    if answering.value is not None and answering.value < FEWEST_ANSWER:
        notes.append(
            f"{answering.value:.0%} of the asked answer, below {FEWEST_ANSWER:.0%}: the asks bound the share "
            "of good responses, and say little more"
        )
    if (p == 1).all():
        notes.append("every response was asked, so nothing compares the asked with others")
    return AskCheck(
        (len(a), int(a.sum()), float(p.sum())),
        tuple((float(rate), int(count)) for rate, count in rates),
        share_p,
        dependence,
        mismatched,
        seen,
        answering,
        unasked,
        _share_up(frame),
        tuple(problems),
        tuple(notes),
    )


def _users(frame: pl.DataFrame, a: NDArray[np.float64], p: NDArray[np.float64]) -> float | None:
    """P-value of the spread of asks over users; None without users."""
    if "user_id" not in frame.columns:
        return None
    known = frame["user_id"].is_not_null().to_numpy()
    user = frame["user_id"].drop_nulls().rank("dense").cast(pl.Int64).to_numpy() - 1
    return users_test(user, a[known], p[known])


def _share_up(frame: pl.DataFrame) -> float:
    """Share of thumbs up among the reactions of those who were not asked."""
    rated = frame.filter(pl.col("asked") == 0)["feedback"].drop_nulls()
    return float(rated.mean()) if len(rated) else 0.0  # type: ignore[arg-type]


def _seen(frame: pl.DataFrame, notes: list[str]) -> float | None:
    """Share of the asked who saw the question, with a note where it is not logged."""
    asked = frame.filter(pl.col("asked") == 1)
    known = asked["seen"].drop_nulls().to_numpy() if "seen" in frame.columns else np.zeros(0)
    if not len(known):
        notes.append(
            "the log does not say who saw the question (`seen`); the asked who did not see it count as "
            "silent, which biases what is learned from the asks"
        )
        return None
    return float(np.mean(known == 1))
