"""What a monitor reads of a log: prompts and responses as a few numbers, scores, ratings, clusters."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from trueward.core.errors import TruewardError
from trueward.data.lottery_columns import LOTTERY
from trueward.data.splits import prompt_numbers
from trueward.features import encode

from .baseline import Baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.model.reward_model import RewardModel

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]

VECTOR = 256  # columns of a mean token vector: first of the prompt, then of the response
DIRECTIONS = 12  # leading directions of the vectors in the reference
SCORE_DIRECTIONS = 96  # of the responses, that explain the score
CONTEXT = 8  # context columns of the largest variance
FLOOR = 0.05  # least standard deviation that a column is divided by

MORE_REACTIONS = (
    "the log has a lottery of asks and the reference has none: asks add reactions, so `behaviour` may drift "
    "for that reason alone"
)


@dataclass(frozen=True)
class MonitoredRows:
    """n rows of a log as a monitor reads them; the rows of the reference come first."""

    #: (n, k) features of the prompt and the context.
    prompt: Array
    #: (n, d) features of the prompt, the context, the response and the model's score.
    features: Array
    #: (n,) 1 or the share of good where the response was rated good, else 0.
    up: Array
    #: (n,) the same of bad; None for a log of clicks.
    down: Array | None
    #: (n,) number of shown responses that a row represents.
    weight: Array
    #: (n,) number of the prompt.
    group: Index
    #: (n,) P(preferred); None where the model identifies only an interval.
    p: Array | None = None
    #: (n,) number of the user; None without ids.
    user: Index | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.weight)

    def take(self, rows: Index | NDArray[np.bool_]) -> MonitoredRows:
        """Return some rows."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        taken: dict[str, Any] = {k: None if v is None else v[rows] for k, v in columns.items()}
        return MonitoredRows(**taken)

    @property
    def rated(self) -> Array:
        """(n,) 1 where the response was rated, else 0."""
        return self.up if self.down is None else self.up + self.down


def read_rows(
    model: RewardModel, reference: Log, log: Log
) -> tuple[MonitoredRows, Feedback, tuple[str, ...]]:
    """Score both logs and describe their texts, in one pass, so that columns and ids mean the same.

    Parameters
    ----------
    model : RewardModel
        A fitted model that reads text.
    reference, log : Log
        The reference, and the log that is compared with it.

    Returns
    -------
    rows : MonitoredRows
        The rows of the reference, then those of the log.
    data : Feedback
        The same rows as features of the model.
    warnings : tuple of str
        Columns that only one of them has, and asks, which add reactions.

    Raises
    ------
    TruewardError
        If the model reads no text, or a column has two types.

    """
    if model.backbone is None:
        raise TruewardError(
            "this model was fitted on features of unknown origin and cannot read the text of a log: fit it "
            "on a log, or on features that `trueward encode` made"
        )
    both, warnings = joined(reference, log)
    data = encode(both, backbone=model.backbone)
    clicks = any(part.regime != "observational" for part in (reference, log))
    return describe(model, both, data, len(reference), clicks=clicks), data, warnings


def describe(
    model: RewardModel, both: Log, data: Feedback, first: int, *, clicks: bool
) -> MonitoredRows:
    """Describe the rows of a reference and of a log whose features are known.

    Parameters
    ----------
    model : RewardModel
        A fitted model.
    both : Log
        The rows of the reference, then those of the log.
    data : Feedback
        The same rows as features of the model.
    first : int
        Number of the rows of the reference.
    clicks : bool
        Whether one of them has no negative ratings.

    Returns
    -------
    MonitoredRows
        Features are centred and scaled by the reference alone, so that later periods change no earlier one.

    """
    scores = model.score_features(data.x)
    vectors = _vectors(both, data)
    context = _context(data)
    weight, group = both.row_weight.to_numpy(), prompt_numbers(len(data), data.group).numpy()
    length = np.log1p(both.frame.select(pl.col("prompt", "response").str.len_chars()).to_numpy())
    prompt = [_directions(vectors[:, :VECTOR], first), length[:, :1], context]
    response = [_directions(vectors[:, VECTOR:], first), length[:, 1:]]
    if scores.reward is not None:
        s = scores.reward.double().cpu().numpy().clip(-10, 10)
        wide = _directions(vectors[:, VECTOR:], first, SCORE_DIRECTIONS)
        texts = _standardised(np.hstack([*prompt, wide, length[:, 1:]]), first)
        response.append(_explained(s, texts, weight[:first], group[:first])[:, None])
    p = None if scores.preferred is None else scores.preferred.double().cpu().numpy()
    rated = both.frame["feedback"].is_not_null().to_numpy().astype(np.float64)
    y = both.frame["feedback"].fill_null(0.0).to_numpy()
    return MonitoredRows(
        prompt=_standardised(np.hstack(prompt), first),
        features=_standardised(np.hstack([*prompt, *response]), first),
        up=rated * y,
        down=None if clicks else rated * (1 - y),
        weight=weight,
        group=group,
        p=p,
        user=None if data.user is None else prompt_numbers(len(data), data.user).numpy(),
    )


def joined(reference: Log, log: Log) -> tuple[Log, tuple[str, ...]]:
    """Put both logs into one, with the columns that both have, and gold labels and asks of the new log only.

    Parameters
    ----------
    reference, log : Log
        The reference, and the log that is compared with it.

    Returns
    -------
    both : Log
        The rows of the reference, then those of the log.
    warnings : tuple of str
        Columns that only one of them has, and asks, which add reactions.

    Raises
    ------
    TruewardError
        If a column has two types.

    """
    new = ("gold", "gold_weight", *LOTTERY)
    names = [n for n in log.frame.columns if n in reference.columns and n not in new]
    own = [n for n in new if n in log.columns]
    uneven = sorted((log.columns ^ reference.columns) - {*new, "time", "model"})
    frames = [reference.frame.select(names), log.frame.select([*names, *own])]
    for name in names:
        kinds = [frame[name].dtype.is_numeric() for frame in frames]
        if kinds[0] != kinds[1]:
            raise TruewardError(
                f"the column {name} is a number in one of {reference.source} and {log.source} and text in "
                "the other: write it alike in both"
            )
    frame = pl.concat(frames, how="diagonal_relaxed")
    warnings: tuple[str, ...] = ()
    if uneven:
        warnings = (
            f"only one of reference and log has {', '.join(uneven)}: the comparison leaves it out",
        )
    if "asked" in log.columns and "asked" not in reference.columns:
        warnings += (MORE_REACTIONS,)
    return replace(log, frame=frame), warnings


def _vectors(both: Log, data: Feedback) -> Array:
    """(n, 512) mean token vectors of prompts and of responses."""
    own = json.loads(data.backbone or "{}").get("name") == "wordllama"
    x = data.x if own else encode(both, backbone="wordllama").x
    return np.asarray(x[:, : 2 * VECTOR].double().cpu().numpy())


def _explained(s: Array, texts: Array, weight: Array, group: Index) -> Array:
    """The score as far as directions of the texts explain it; out of fold for the reference.

    The model may have been fitted on the reference, and then knows the ratings of these rows: their scores
    tell who reacted, and those of other rows do not. What a few directions explain holds for both alike.
    """
    first = len(weight)
    found = Baseline.fit(texts[:first], s[:first], weight, group, is_logistic=False)
    return np.concatenate([found.held_out, found.expected(texts[first:])])


def _directions(vectors: Array, first: int, count: int = DIRECTIONS) -> Array:
    """Leading directions of the reference, each with standard deviation 1, and the length of the vector.

    The distance to these directions is left out: it is smaller on the rows that they were fitted on.
    """
    centred = vectors - vectors[:first].mean(0)
    size, axes = np.linalg.eigh(centred[:first].T @ centred[:first] / max(first, 1))
    along = centred @ axes[:, ::-1][:, :count]
    scale = np.sqrt(np.maximum(size[::-1][:count], 1e-12))
    return np.hstack([along / scale, np.linalg.norm(vectors, axis=1)[:, None]])


def _context(data: Feedback) -> Array:
    """The context columns of the largest variance."""
    if data.z is None:
        return np.zeros((len(data), 0))
    z = data.z.double().cpu().numpy()
    order = np.argsort(-z.var(0), kind="stable")[:CONTEXT]
    return np.asarray(z[:, np.sort(order)])


def _standardised(table: Array, first: int) -> Array:
    """Centre and scale the columns by the reference; a column that is constant there keeps its unit."""
    mean, sd = table[:first].mean(0), table[:first].std(0)
    return np.asarray((table - mean) / np.maximum(sd, FLOOR))


def live_feedback(data: Feedback, first: int) -> Feedback:
    """Return the rows of the new log.

    Parameters
    ----------
    data : Feedback
        Rows of the reference and of the log, as `read_rows` returns them.
    first : int
        Number of the rows of the reference.

    Returns
    -------
    Feedback
        The rows after these.

    """
    return data[torch.arange(first, len(data))]
