"""Evaluate a reward model on the comparisons of a product: accuracy, and calibration of P(A beats B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.optimize import brentq
from scipy.special import expit

from trueward.core.arguments import MAPPING, TEXT, require_kinds
from trueward.core.clustering import clusters, few_warnings
from trueward.core.errors import TruewardError, UsageError
from trueward.core.estimate import Estimate
from trueward.data.log import Log
from trueward.data.log_reading import read_log
from trueward.data.pair_layouts import read_comparisons
from trueward.model.reward_model import fitted

from .estimates import Estimates
from .preference_pairs import TextScorer

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trueward.core.clustering import Cluster, Clusters

    Array = NDArray[np.float64]

BINS = 5  # of P(the favourite wins)
STEEPEST = 1e4  # largest slope that is searched for


@dataclass(frozen=True, repr=False)
class ComparisonScores(Estimates):
    """Accuracy and calibration on comparisons by name; ``str()`` is a table.

    See Also
    --------
    trueward.evaluate_comparisons : Computes them, and lists their names.

    """

    #: Number of comparisons that a response won.
    comparisons: int
    #: Number of ties, which accuracy and calibration leave out.
    ties: int
    #: Comparisons by source, with ties.
    sources: dict[str, int]
    #: P(the favourite wins) in up to 5 groups of equal size: ``predicted``, ``observed``, ``comparisons``.
    bins: tuple[dict[str, float], ...] = ()
    #: Effective number of the units that intervals are clustered by.
    effective: dict[str, float] | None = None
    #: What was left out, and reasons why intervals may be too narrow.
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the estimates by name under ``metrics``, the counts, the groups and the warnings."""
        return {
            "metrics": {name: e.to_json() for name, e in self.estimates.items()},
            "comparisons": self.comparisons,
            "ties": self.ties,
            "sources": self.sources,
            "bins": list(self.bins),
            "warnings": list(self.warnings),
        }

    def _title(self) -> str:
        return f"{self.comparisons:,} comparisons, accuracy {self['accuracy']}"

    def _notes(self) -> list[str]:
        return [f"warning: {w}" for w in self.warnings]

    def __str__(self) -> str:
        """Format a table with one metric a line, and the groups of P(the favourite wins)."""
        lines = self._lines("metric")
        if self.bins:
            shown = ", ".join(
                f"{b['predicted']:.2f}: {b['observed']:.2f} of {b['comparisons']:,.0f}"
                for b in self.bins
            )
            lines.append(f"P(the favourite wins), predicted: observed: {shown}")
        ties = f", {self.ties:,} ties left out" if self.ties else ""
        by = " and ".join(
            f"{n:.0f} effective {unit}s" for unit, n in (self.effective or {}).items()
        )
        lines.append(f"{self.comparisons:,} comparisons{ties}; intervals clustered by {by}")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def evaluate_comparisons(
    model: TextScorer | Path | str,
    pairs: str | os.PathLike[str] | object | None = None,
    *,
    log: str | os.PathLike[str] | Log | object | None = None,
    mapping: Mapping[str, str] | None = None,
    cluster: Cluster = "both",
) -> ComparisonScores:
    """Evaluate a reward model on comparisons: battles, regenerations, votes of annotators.

    With d the reward of the winner less that of the loser, in log-odds, P(the winner wins) = sigmoid(d).

    Parameters
    ----------
    model : RewardModel, str or Path
        A fitted model that reads text or its folder, or any object with its ``score``.
    pairs : str, Path or table, optional
        Comparisons, in the layouts of `read_log`'s ``pairs``. None: those of ``log``.
    log : str, Path, table or Log, optional
        The log whose responses are compared, where ``pairs`` name them by id, or where it has the users.
    mapping : mapping of str to str, optional
        Name of a column of the comparisons -> column of ``pairs``.
    cluster : {"prompt", "user", "both"}, default "both"
        Units that intervals are clustered by, where they are known.

    Returns
    -------
    ComparisonScores
        ``accuracy``, the share of comparisons whose winner has the higher reward, equal rewards counting
        half, and ``accuracy_SOURCE`` for each source; ``brier``, the mean of (1 - P)^2, lower is better, .25
        without knowledge; ``slope`` b, which maximises the likelihood of sigmoid(b d): 1 is calibrated, below
        1 says that P(A beats B) is too far from 1/2, and above 1 that it is too near. Each has a 95 %
        interval. Ties are counted and left out.

    Raises
    ------
    TruewardError
        If no comparison can be used or none was won, or the model identifies only an interval.
    UsageError
        If the mapping is wrong, or users are asked for and not known.

    See Also
    --------
    evaluate_pairs : The published file of a benchmark.

    Examples
    --------
    >>> import polars as pl, torch, trueward as tw
    >>> from trueward.model.scores import Scores
    >>> class Brief:
    ...     def score(self, prompts, responses):
    ...         reward = -torch.tensor([float(len(r)) for r in responses])
    ...         return Scores(reward, torch.sigmoid(reward), 0 * reward, reward > 0)
    >>> rows = {"prompt": ["2 + 2?", "3 - 1?"], "chosen": ["4", "It is 2."], "rejected": ["Five", "3"]}
    >>> found = tw.evaluate_comparisons(Brief(), pl.DataFrame(rows))
    >>> found["accuracy"].value, found.comparisons
    (0.5, 2)

    """
    require_kinds(
        "evaluate_comparisons", mapping=(mapping, MAPPING.or_none), cluster=(cluster, TEXT)
    )
    if not isinstance(model, TextScorer) or isinstance(model, type):
        model = fitted(model, "evaluate_comparisons")
    if pairs is not None:
        read = read_comparisons(pairs, mapping=mapping)
        table = read_log(log.frame if isinstance(log, Log) else log, pairs=read)
    elif isinstance(log, Log) and log.pairs is not None:
        table = log
    else:
        raise UsageError(
            "evaluate_comparisons needs comparisons: give pairs, or a Log that was read with them"
        )
    assert table.pairs is not None
    frame = table.pairs.frame
    decided = frame.filter(pl.col("tie") == 0)
    if not decided.height:
        raise TruewardError(
            f"{table.pairs.source} has {frame.height} ties and no comparison that a response won: give "
            "comparisons with a winner"
        )
    lead = _leads(model, table, decided)
    own = _units(table, decided, cluster)
    weight = decided["weight"].to_numpy().astype(np.float64)
    sources = decided["source"].to_numpy()
    estimates = dict(_estimates(lead, weight, sources, own))
    effective = own.effective()
    warnings = [*table.pairs.notes(), *few_warnings(effective)]
    if "user" not in own.units and cluster != "prompt":
        warnings.append("the comparisons name no users, so intervals are clustered by prompt alone")
    counts = table.pairs.counts
    shown = (len(lead), frame.height - len(lead), counts, tuple(_bins(lead, weight)))
    return ComparisonScores(estimates, *shown, effective, tuple(warnings))


def _leads(model: TextScorer, table: Log, decided: pl.DataFrame) -> Array:
    """(m,) reward of the winner less that of the loser."""
    sides = np.concatenate([decided[k].to_numpy() for k in ("winner", "loser")])
    rows, place = np.unique(sides, return_inverse=True)
    texts = table.frame[rows]
    reward = model.score(texts["prompt"].to_list(), texts["response"].to_list()).reward
    if reward is None:
        raise TruewardError(
            "comparing responses needs one reward for each, and this model identifies only an interval: fit "
            "it with an option that fixes the scale (gold labels, a prior or an anchor)"
        )
    of_side = reward.detach().cpu().double().numpy()[place]
    winner, loser = np.split(of_side, 2)
    return np.asarray(winner - loser)


def _units(table: Log, decided: pl.DataFrame, cluster: Cluster) -> Clusters:
    """The prompts and the users of comparisons; those of the log where the comparisons name none."""
    rows = decided["winner"].cast(pl.UInt32)
    prompt = table.frame["prompt_id"].gather(rows).rank("dense").cast(pl.Int64).to_numpy()
    users = decided["user_id"]
    if users.null_count() == len(users) and "user_id" in table.columns:
        users = table.frame["user_id"].gather(rows)
    codes = None
    if users.null_count() < len(users):
        apart = -users.is_null().cast(pl.Int64).cum_sum()
        codes = users.rank("dense").cast(pl.Int64).fill_null(apart).to_numpy()
    if codes is None and cluster == "user":
        raise UsageError(
            "clustering by user needs the users of the comparisons, and they have no user_id: map it "
            "(--map pairs.user_id=NAME), or cluster by prompt"
        )
    return clusters(decided.height, group=prompt, user=codes, cluster=cluster)


def _estimates(
    lead: Array, weight: Array, sources: NDArray[Any], own: Clusters
) -> Iterator[tuple[str, Estimate]]:
    """Accuracy over all and by source, Brier score and slope."""
    right = 0.5 + 0.5 * np.sign(lead)
    yield "accuracy", _mean(right, weight, own)
    names = np.unique(sources)
    for name in names if len(names) > 1 else []:
        kept = sources == name
        yield f"accuracy_{name}", _mean(right[kept], weight[kept], own.rows(kept))
    yield "brier", _mean(np.square(1 - expit(lead)), weight, own)
    yield "slope", _slope(lead, weight, own)


def _mean(values: Array, weight: Array, own: Clusters) -> Estimate:
    """A weighted mean of values in [0, 1] with its clustered interval."""
    share = weight / weight.sum()
    value = float(share @ values)
    return own.estimate(value, share * (values - value), "share", share)


def _slope(lead: Array, weight: Array, own: Clusters) -> Estimate:
    """The slope b of sigmoid(b d) by maximum likelihood, without an intercept: sides have no order."""

    def score(b: float) -> float:
        return float(weight @ (lead * expit(-b * lead)))

    if not (lead > 0).any() or not (lead < 0).any():
        order = "every" if (lead >= 0).all() and (lead > 0).any() else "no"
        return Estimate(None, reason=f"the model orders {order} comparison right")
    top = 1.0
    while score(top) > 0 and top < STEEPEST:
        top *= 2
    low = -1.0
    while score(low) < 0 and low > -STEEPEST:
        low *= 2
    b = float(brentq(score, low, top, xtol=1e-10))
    p = expit(b * lead)
    influence = weight * lead * (1 - p) / float(weight @ (lead**2 * p * (1 - p)))
    return own.estimate(b, influence, mass=weight)


def _bins(lead: Array, weight: Array) -> Iterator[dict[str, float]]:
    """Predicted and observed chance that the response with the higher reward wins, in groups."""
    chance, won = expit(np.abs(lead)), 0.5 + 0.5 * np.sign(lead)
    order = np.argsort(chance, kind="stable")
    for rows in np.array_split(order, min(BINS, max(1, len(order) // 10))):
        own = weight[rows]
        yield {
            "predicted": float(np.average(chance[rows], weights=own)),
            "observed": float(np.average(won[rows], weights=own)),
            "comparisons": len(rows),
        }
