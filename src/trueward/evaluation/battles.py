"""Comparisons of models as arrays: who won, ties, positions, style, users, prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.core.clustering import clusters
from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_pairs import DEFAULTS, UNNAMED
from trueward.data.pair_tensors import STYLES, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trueward.core.clustering import Cluster, Clusters
    from trueward.data.log import Log
    from trueward.data.pair_layouts import Comparisons

    Array = NDArray[np.float64]
    Index = NDArray[np.int64]


@dataclass(frozen=True)
class Battles:
    """n comparisons of two models.

    Attributes
    ----------
    winner, loser : ndarray of str, shape (n,)
        Names of the models.
    tie, weight : ndarray, shape (n,)
        1 for a tie, and how many comparisons each stands for.
    position : ndarray, shape (n,), or None
        1 where the winner was shown first, -1 where the loser was; None where nothing is known.
    style : ndarray, shape (n, 2), or None
        Style of the winner less that of the loser; None without texts.
    prompt : ndarray of int, shape (n,)
        Number of the prompt.
    user : ndarray of int, shape (n,), or None
        Number of the user, below 0 where it is not known.
    counts : dict of str to int
        Comparisons by source.
    of_source : ndarray of str, shape (n,)
        The source of each.
    source : str
        Where they were read.
    warnings : tuple of str
        What was left out.

    """

    winner: NDArray[np.str_]
    loser: NDArray[np.str_]
    tie: Array
    weight: Array
    position: Array | None
    style: Array | None
    prompt: Index
    user: Index | None
    of_source: NDArray[np.str_]
    source: str
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Comparisons by source, sorted by name."""
        names, found = np.unique(self.of_source, return_counts=True)
        return {str(k): int(n) for k, n in zip(names, found, strict=True)}

    def of(self, sources: Sequence[str]) -> Battles:
        """Return the comparisons of some sources; all where none is named."""
        if not sources:
            return self
        known = self.counts
        for name in sources:
            if name not in known:
                raise UsageError(
                    f"{self.source} has no comparisons of source {name!r}: it has those of {', '.join(known)}"
                )
        kept = np.isin(self.of_source, list(sources))
        rows: dict[str, Any] = {
            k: v[kept] for k, v in vars(self).items() if isinstance(v, np.ndarray)
        }
        return replace(self, **rows)

    def covariates(self, control: Sequence[str]) -> tuple[Array, list[str]]:
        """Return (n, c) what speaks for each winner beside its model, and the names of the columns."""
        columns, names = [], []
        if self.position is not None and np.ptp(self.position) > 0:
            columns.append(self.position)
            names.append("position")
        if control and self.style is None:
            raise UsageError(
                f"control needs the texts of the responses, and {self.source} has none: give conversations, "
                "or a log"
            )
        for name in control:
            assert self.style is not None
            columns.append(self.style[:, STYLES.index(name)])
            names.append(name)
        return np.stack(columns, 1) if columns else np.zeros((len(self.tie), 0)), names

    def units(self, kept: NDArray[np.bool_], cluster: Cluster) -> Clusters:
        """Return the units that some comparisons are clustered by."""
        user = None if self.user is None else self.user[kept]
        return clusters(int(kept.sum()), group=self.prompt[kept], user=user, cluster=cluster)

    @staticmethod
    def of_log(log: Log) -> Battles:
        """Return the comparisons of a log whose responses have models."""
        assert log.pairs is not None
        pairs, frame = log.pairs.frame, log.frame
        sides = [frame[pairs[k].cast(pl.UInt32)] for k in ("winner", "loser")]
        users = pairs["user_id"]
        if users.null_count() == len(users) and "user_id" in log.columns:
            users = sides[0]["user_id"]
        rows = pairs.with_columns(
            model_chosen=sides[0]["model"],
            model_rejected=sides[1]["model"],
            prompt=sides[0]["prompt_id"],
            user_id=users,
        )
        difference = (style(sides[0]["response"]) - style(sides[1]["response"])).double().numpy()
        return _arrays(rows, difference, log.pairs.source, log.pairs.notes())


def battles_of(found: Comparisons) -> Battles:
    """Return comparisons that name the models of both sides.

    Parameters
    ----------
    found : Comparisons
        As read from a file.

    """
    frame, notes = found.frame, []
    missing = [
        pl.lit(v, pl.Float64).alias(k) for k, v in DEFAULTS.items() if k not in frame.columns
    ]
    missing += [
        pl.lit(None, pl.String).alias(k) for k in ("source", "user_id") if k not in frame.columns
    ]
    frame = frame.with_columns(missing).with_columns(
        pl.col("source").fill_null(UNNAMED), *(pl.col(k).fill_null(v) for k, v in DEFAULTS.items())
    )
    total = frame.height + sum(found.left_out.values())
    notes = [
        f"{n:,} of {total:,} comparisons of {found.source} are left out: {why}"
        for why, n in found.left_out.items()
    ]
    difference = None
    if "chosen" in frame.columns:
        difference = (style(frame["chosen"]) - style(frame["rejected"])).double().numpy()
    return _arrays(frame, difference, found.source, notes)


def _arrays(
    rows: pl.DataFrame, difference: Array | None, source: str, notes: Sequence[str]
) -> Battles:
    """Arrays of the comparisons of two different models; the others are left out and counted."""
    named = rows["model_chosen"].is_not_null() & rows["model_rejected"].is_not_null()
    differ = (rows["model_chosen"] != rows["model_rejected"]).fill_null(value=False)
    total, notes = rows.height, list(notes)
    for why, mask in (
        ("a model has no name", ~named),
        ("both sides are one model", named & ~differ),
    ):
        if count := int(mask.sum()):
            notes.append(f"{count:,} of {total:,} comparisons of {source} are left out: {why}")
    kept = differ & (rows["weight"] > 0)
    if not kept.any():
        raise TruewardError(
            f"{source} has no comparison of two models ({'; '.join(notes) or 'it is empty'}): give "
            "comparisons whose two sides are of different models"
        )
    rows = rows.filter(kept)
    prompt = rows["prompt"] if "prompt" in rows.columns else pl.Series(range(rows.height))
    users = rows["user_id"]
    known = users.null_count() < len(users)
    position = rows["position"].to_numpy()
    return Battles(
        winner=rows["model_chosen"].to_numpy().astype(str),
        loser=rows["model_rejected"].to_numpy().astype(str),
        tie=rows["tie"].to_numpy(),
        weight=rows["weight"].to_numpy(),
        position=position if (position != 0).any() else None,
        style=None if difference is None else difference[kept.to_numpy()],
        prompt=_numbers(prompt),
        user=_numbers(users) if known else None,
        of_source=rows["source"].to_numpy().astype(str),
        source=source,
        warnings=tuple(notes),
    )


def _numbers(ids: pl.Series) -> Index:
    """Number ids; each null is a unit of its own, below 0."""
    codes = ids.rank("dense").cast(pl.Int64)
    apart = -ids.is_null().cast(pl.Int64).cum_sum()
    return codes.fill_null(apart).to_numpy()
