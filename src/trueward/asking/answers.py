"""What the answers to randomised asks say about the share of good responses, whoever stays silent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from trueward.core.clustering import Clusters, clusters
from trueward.core.errors import TruewardError
from trueward.core.estimate import Estimate
from trueward.core.overview import Shown
from trueward.data.log_reading import as_log

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.log import Log

    Array = NDArray[np.float64]

FEWEST_ANSWER = 0.2  # answering rate of the asked below which asks alone say nothing
FEWEST = 10  # gold labels on silent responses from which their share of good ones is estimated


@dataclass(frozen=True, repr=False)
class AskedShare(Shown):
    """The share of good responses, from a lottery that decided whom to ask; ``str()`` is a text.

    See Also
    --------
    asked_share : Computes it.

    """

    #: The share of good responses among all, with gold labels on the asked who stayed silent.
    share: Estimate
    #: Lower and upper bound of it without gold labels, with the outer ends of their joint 95 % interval.
    lower: Estimate
    upper: Estimate
    #: Share of thumbs up among the asked who answered: what asks read as labels would say.
    among_answers: Estimate
    #: Number of responses asked (and seen), of answers, and of gold labels on those without an answer.
    counts: tuple[int, int, int]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        names = ("asked", "answered", "gold_silent")
        return {
            "share": self.share.to_json(),
            "lower": self.lower.to_json(),
            "upper": self.upper.to_json(),
            "among_answers": self.among_answers.to_json(),
            **dict(zip(names, self.counts, strict=True)),
        }

    def __str__(self) -> str:
        """Format the shares as lines."""
        asked, answered, gold = self.counts
        share = str(self.share) if self.share.value is not None else f"- ({self.share.reason})"
        bounds = f"{self.lower.value:.3f} and {self.upper.value:.3f}"
        low, high = self.lower.low, self.upper.high
        return "\n".join(
            [
                f"{asked:,} asked, {answered:,} answered, {gold:,} gold labels on those who did not",
                f"share of good responses: {share}",
                f"without gold labels between {bounds} [{low:.3f}, {high:.3f}]",
                f"good among the answers: {self.among_answers} (biased where good answers are answered more)",
            ]
        )


def answering_rate(log: Log, *, asked: bool) -> Estimate:
    """Compute the share of the lottery's responses that got feedback, by whether they were asked.

    Parameters
    ----------
    log : Log
        With ``asked`` and ``p_ask``.
    asked : bool
        Of the asked who saw the question, or of those in the lottery who were not asked.

    Returns
    -------
    Estimate
        With a 95 % interval clustered by user and prompt; without a value where there is no such response.

    """
    arm = _arm(log, asked=asked)
    return _mean(arm, arm.frame["feedback"].is_not_null().cast(pl.Float64).to_numpy())


def asked_share(log: Log | object) -> AskedShare:
    """Estimate the share of good responses from a lottery that decided whether to ask.

    E[r] = A q + (1 - A) m over the asked who saw the question: A is the share that answered, q the share of
    good among the answers, and m that among the silent, from gold labels on a random part of them (two-phase
    sampling [1]_). Nothing is assumed of who answers. Rows count by ``weight / p_ask``, gold labels by
    ``gold_weight`` as well.

    Without gold labels max_t U_t <= E[r] <= 1 - max_t D_t, with U_t and D_t the shares of thumbs up and down
    among the responses of arm t (not asked, asked at level 1, 2, ...): feedback can add a reaction and does
    not change what a response is.

    Parameters
    ----------
    log : Log, path or table
        With ``asked``, ``p_ask``, and where possible ``seen`` and ``gold``.

    Returns
    -------
    AskedShare
        Intervals are clustered by user and prompt.

    Raises
    ------
    TruewardError
        If the log tells of no lottery, or nobody was asked.

    Notes
    -----
    A thumb is taken as what the response is. Whether the question was seen must not depend on how good the
    response is. The estimate is for responses that were in the lottery.

    References
    ----------
    .. [1] Hansen and Hurwitz, The problem of non-response in sample surveys, JASA 1946.

    Examples
    --------
    >>> import polars as pl, trueward as tw
    >>> frame = pl.DataFrame({"prompt": [str(i) for i in range(100)], "response": "r"}).with_columns(
    ...     asked=1, p_ask=0.5,
    ...     feedback=pl.Series([1.0] * 30 + [0.0] * 10 + [None] * 60),
    ...     gold=pl.Series([None] * 40 + [1.0, 0.0] * 10 + [None] * 40),
    ... )
    >>> round(asked_share(tw.read_log(frame)).share.value, 3)  # .4 * .75 + .6 * .5
    0.6

    """
    log = as_log(log, "asked_share")
    in_lottery(log)
    arm = _arm(log, asked=True)
    if not len(arm):
        raise TruewardError(f"nobody was asked in {log.source}, so there is no answer to read")
    answered = arm.frame["feedback"].is_not_null().to_numpy()
    up = arm.frame["feedback"].fill_null(0.0).to_numpy()
    labels = arm.label_weight.to_numpy() / arm.frame["p_ask"].to_numpy() * ~answered
    lower, upper = _bounds(log)
    return AskedShare(
        _two_phase(arm, answered, up, labels),
        lower,
        upper,
        _mean(arm, up, _weights(arm) * answered),
        (len(arm), int(answered.sum()), int((labels > 0).sum())),
    )


def in_lottery(log: Log) -> pl.DataFrame:
    """Return the rows of a log that were in the lottery: p_ask above 0, and an outcome.

    Parameters
    ----------
    log : Log
        The log.

    Returns
    -------
    DataFrame
        All columns of these rows.

    Raises
    ------
    TruewardError
        If there is none.

    """
    if not {"asked", "p_ask"} <= log.columns:
        raise TruewardError(
            f"{log.source} tells of no lottery: it needs the columns `asked` and `p_ask` (trueward ask "
            "snippet prints the code that logs them)"
        )
    frame = log.frame.filter((pl.col("p_ask") > 0) & pl.col("asked").is_not_null())
    if not frame.height:
        raise TruewardError(
            f"no response of {log.source} was in the lottery: p_ask is 0 everywhere"
        )
    return frame


def _arm(log: Log, *, asked: bool) -> Log:
    """The responses of the lottery that were asked and did not miss the question, or were not asked."""
    rows = log.frame.filter((pl.col("p_ask") > 0) & (pl.col("asked") == asked))
    if asked and "seen" in rows.columns:
        rows = rows.filter(pl.col("seen").fill_null(1) == 1)
    return replace(log, frame=rows)


def _weights(arm: Log) -> Array:
    """(n,) how many responses of the lottery each row of an arm stands for."""
    chance = arm.frame["p_ask"].to_numpy()
    asked = arm.frame["asked"].to_numpy() == 1
    return np.asarray(
        arm.row_weight.to_numpy() / np.where(asked, chance, np.maximum(1 - chance, 1e-12))
    )


def _clusters(arm: Log) -> Clusters:
    """Prompts and users of the rows."""
    group, user = (
        arm.frame[name].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
        if name in arm.columns
        else None
        for name in ("prompt_id", "user_id")
    )
    return clusters(len(arm), group=group, user=user)


def _mean(arm: Log, x: Array, w: Array | None = None) -> Estimate:
    """Weighted mean of x with its clustered interval."""
    w = _weights(arm) if w is None else w
    if not w.sum():
        return Estimate(None, reason="there is no such response")
    mean = float(w @ x / w.sum())
    kept = w > 0
    units = _clusters(arm).rows(kept)
    return units.estimate(mean, (w * (x - mean) / w.sum())[kept], "share")


def _two_phase(arm: Log, answered: NDArray[np.bool_], up: Array, labels: Array) -> Estimate:
    """A q + (1 - A) m, by the influence of every row; (n,) what each label on a silent row stands for."""
    w = _weights(arm)
    total, silent = w.sum(), (w * ~answered).sum()
    count = int((labels > 0).sum())
    if silent and count < FEWEST:
        return Estimate(
            None,
            reason=f"{count} gold labels on the asked who stayed silent; label {FEWEST} of them or more",
        )
    if not silent:
        return _mean(arm, up)
    gold = arm.frame["gold"].fill_null(0.0).to_numpy()
    m = float(labels @ gold / labels.sum())
    value = np.where(answered, up, m)
    mean = float(w @ value / total)
    influence = w / total * (value - mean) + silent / total * labels / labels.sum() * (gold - m)
    return _clusters(arm).estimate(mean, influence, "share")


def _bounds(log: Log) -> tuple[Estimate, Estimate]:
    """Intersect the bounds of the arms; every end has its share of 5 %."""
    asked = _arm(log, asked=True)
    parts = [asked.frame]
    if "ask_level" in log.columns:
        parts = [part for _, part in asked.frame.group_by("ask_level", maintain_order=True)]
    arms = [_arm(log, asked=False), *(replace(log, frame=part) for part in parts)]
    arms = [arm for arm in arms if len(arm)]
    z = -ndtri(0.05 / (2 * len(arms)))
    ends: list[tuple[Array, Array]] = []  # of up and of down in every arm, and their lower ends
    for arm in arms:
        w, feedback = _weights(arm), arm.frame["feedback"]
        x = np.stack(
            [(feedback == label).fill_null(value=False).to_numpy() for label in (1.0, 0.0)], 1
        )
        mean = w @ x / w.sum()
        units, influence = _clusters(arm), w[:, None] * (x - mean) / w.sum()
        error = np.sqrt([float(units.variance(column)) for column in influence.T])
        ends.append((mean, np.where(np.isfinite(error), np.maximum(mean - z * error, 0.0), 0.0)))
    (up, down), (up_low, down_low) = (np.max(v, 0).tolist() for v in zip(*ends, strict=True))
    return Estimate(up, up_low, up), Estimate(1 - down, 1 - down, 1 - down_low)
