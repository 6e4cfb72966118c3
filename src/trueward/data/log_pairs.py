"""The comparisons of a log: which of its rows were compared, with whom, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trueward.core.errors import TruewardError

from .digests import prompt_ids
from .pair_layouts import TWO_PROMPTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pair_layouts import Comparisons

FEWEST_PAIRS = 20  # pairs of a source below which it says little
LEAST = 0.01  # propensities of being compared are raised to it
UNNAMED = "pairs"  # source of the pairs whose file names none
DEFAULTS = {"tie": 0.0, "position": 0.0, "margin": 0.0, "weight": 1.0, "gold": 0.0} | {
    "propensity": 1.0
}


@dataclass(frozen=True, eq=False)
class LogPairs:
    """Comparisons of two rows of a log.

    Attributes
    ----------
    frame : polars.DataFrame
        ``winner`` and ``loser`` (row numbers), ``tie``, ``position`` (1 where the winner was shown first, -1
        where the loser was, 0 unknown), ``margin``, ``weight``, ``gold``, ``propensity`` of being compared,
        ``source`` and ``user_id``.
    source : str
        Path of their file.
    rows : int
        Rows of the log.
    left_out : mapping of str to int
        Reason -> pairs of the file that are not used.
    warnings : tuple of str
        What limits the use of these pairs.

    """

    frame: pl.DataFrame
    source: str
    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of pairs."""
        return self.frame.height

    @property
    def counts(self) -> dict[str, int]:
        """Number of pairs of every source, sorted by name."""
        found = self.frame["source"].value_counts().sort("source")
        return dict(found.iter_rows())

    def notes(self) -> list[str]:
        """Return one sentence for every reason why pairs were left out, then the warnings."""
        of = f"{len(self) + sum(self.left_out.values()):,} comparisons of {self.source}"
        return [f"{n:,} of {of} are left out: {why}" for why, n in self.left_out.items()] + list(
            self.warnings
        )


def attach(log: pl.DataFrame, found: Comparisons) -> LogPairs:
    """Find the rows of a log that were compared; count the pairs that cannot be used.

    Parameters
    ----------
    log : polars.DataFrame
        Rows of a log, with ``response_id`` if the pairs name ids.
    found : Comparisons
        Pairs as read.

    Raises
    ------
    TruewardError
        If no pair can be used.

    """
    frame, left = _numbered(log, found), dict(found.left_out)

    def keep(wanted: pl.Expr | pl.Series, otherwise: str) -> None:
        nonlocal frame
        kept = frame.filter(wanted)
        if frame.height > kept.height:
            left[otherwise] = left.get(otherwise, 0) + frame.height - kept.height
        frame = kept

    winner, loser = pl.col("winner"), pl.col("loser")
    keep(
        winner.is_not_null() & loser.is_not_null(),
        "the log does not have one of their responses, word by word",
    )
    keep(winner != loser, "they compare a response with itself")
    prompt = log["prompt_id"]
    of = [pl.Series(prompt.gather(frame[k])) for k in ("winner", "loser")]
    keep(pl.Series(of[0] == of[1]), TWO_PROMPTS)
    texts = [pl.Series(log["response"].gather(frame[k])) for k in ("winner", "loser")]
    keep(pl.Series(texts[0] != texts[1]), "their two responses are the same text")
    keep(pl.col("weight") > 0, "their weight is not above 0")
    possible = (pl.col("propensity") > 0) & (pl.col("propensity") <= 1)
    keep(possible, "their propensity is not above 0 and at most 1")
    frame = _once_a_user(frame, left)
    if not frame.height:
        why = "; ".join(f"{n:,}: {reason}" for reason, n in left.items()) or "it is empty"
        raise TruewardError(
            f"{found.source} has no comparison that can be used ({why}): give comparisons of two responses "
            "to one prompt of the log"
        )
    judged = pl.col("source").str.starts_with("judge") & (pl.col("gold") > 0)
    warnings = []
    if count := frame.filter(judged).height:
        warnings.append(f"{count:,} comparisons by a judge are marked gold; a judge's never are")
        frame = frame.with_columns(gold=pl.when(judged).then(0.0).otherwise("gold"))
    if count := frame.filter(pl.col("propensity") < LEAST).height:
        warnings.append(
            f"{count:,} propensities of being compared are below {LEAST} and raised to it"
        )
    warnings += _warnings(frame)
    return LogPairs(frame, found.source, log.height, left, tuple(warnings))


def log_of(found: Comparisons) -> pl.DataFrame:
    """Return the responses that are compared as the rows of a log without ratings.

    Parameters
    ----------
    found : Comparisons
        Pairs with texts.

    Raises
    ------
    TruewardError
        If the pairs have ids or names of models only.

    """
    if "prompt" not in found.frame.columns:
        what = "ids of responses" if "winner_id" in found.frame.columns else "names of models"
        raise TruewardError(
            f"{found.source} has {what} and no texts: give the log, too, or comparisons with prompt, chosen "
            "and rejected"
        )
    sides = [
        found.frame.select(
            "prompt",
            pl.col(side).alias("response"),
            *(
                [pl.col(f"model_{side}").alias("model")]
                if f"model_{side}" in found.frame.columns
                else []
            ),
        )
        for side in ("chosen", "rejected")
    ]
    rows = pl.concat(sides).unique(["prompt", "response"], keep="first", maintain_order=True)
    columns = {"feedback": pl.lit(None, pl.Float64)}
    rows = rows.with_columns(prompt_ids(rows["prompt"]), **columns)
    order = ["prompt", "response", "feedback", "prompt_id"]
    return rows.select(*order, *(c for c in rows.columns if c not in order))


def _numbered(log: pl.DataFrame, found: Comparisons) -> pl.DataFrame:
    """Add the row numbers of both responses, null where there is none, and the columns that are missing."""
    frame, rows = found.frame, log.with_row_index("row")
    if "winner_id" in frame.columns:
        if "response_id" not in log.columns:
            raise TruewardError(
                f"{found.source} names responses by id, and the log has no column response_id: give the log "
                "of the same import, or map it (--map response_id=NAME)"
            )
        keys = {"winner": ["winner_id"], "loser": ["loser_id"]}
        theirs = ["response_id"]
    elif "prompt" in frame.columns:
        keys = {"winner": ["prompt", "chosen"], "loser": ["prompt", "rejected"]}
        theirs = ["prompt", "response"]
    else:
        raise TruewardError(
            f"{found.source} names models and no responses: a fit needs prompt, chosen and rejected; "
            "`trueward leaderboard` ranks models by their names"
        )
    first = rows.select("row", *theirs).unique(theirs, keep="first", maintain_order=True)
    for side, own in keys.items():
        frame = frame.join(
            first.rename({"row": side}),
            left_on=own,
            right_on=theirs,
            how="left",
            maintain_order="left",
        )
    missing = [
        pl.lit(None, pl.String).alias(k) for k in ("source", "user_id") if k not in frame.columns
    ] + [pl.lit(v, pl.Float64).alias(k) for k, v in DEFAULTS.items() if k not in frame.columns]
    frame = frame.with_columns(missing).with_columns(
        pl.col("source").fill_null(UNNAMED), *(pl.col(k).fill_null(v) for k, v in DEFAULTS.items())
    )
    return frame.select("winner", "loser", *DEFAULTS, "source", "user_id")


def _once_a_user(frame: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    """Leave out pairs that one user decided both ways, and repetitions of what a user said."""
    named = frame["user_id"].is_not_null()
    if not named.any():
        return frame
    low, high = pl.min_horizontal("winner", "loser"), pl.max_horizontal("winner", "loser")
    first = pl.when(pl.col("tie") > 0).then(None).otherwise(pl.col("winner"))
    rows = frame.with_row_index("at").with_columns(low=low, high=high, first=first)
    known = rows.filter(pl.col("user_id").is_not_null())
    key = ["user_id", "source", "low", "high"]
    sides = known.group_by(key).agg(pl.col("first").n_unique().alias("said"), pl.len())
    several = known.join(sides.filter(pl.col("len") > 1), on=key)
    both = several.filter(pl.col("said") > 1)["at"]
    again = several.filter(pl.col("said") == 1)
    again = again.filter(
        ~pl.col("at").is_in(again.group_by(key).agg(pl.col("at").min())["at"].implode())
    )
    if len(both):
        left["one user decided them both ways"] = len(both)
    if len(again):
        left["they repeat what the same user said"] = len(again)
    out = pl.concat([both, again["at"]])
    if not len(out):
        return frame
    return rows.filter(~pl.col("at").is_in(out.implode())).select(frame.columns)


def _warnings(frame: pl.DataFrame) -> list[str]:
    """Warn of sources with few pairs, and of sources whose winners all stood on one side."""
    found = []
    decided = pl.col("tie") == 0
    counts = frame.group_by("source").agg(
        pl.len(),
        (decided & (pl.col("position") > 0)).sum().alias("first"),
        (decided & (pl.col("position") < 0)).sum().alias("second"),
    )
    for source, n, first, second in counts.sort("source").iter_rows():
        if n < FEWEST_PAIRS:
            found.append(
                f"source {source} has {n} comparison{'s' if n > 1 else ''}, and {FEWEST_PAIRS} are needed to "
                "learn from it alone"
            )
        elif min(first, second) == 0 and max(first, second) >= FEWEST_PAIRS:
            side = "first" if first else "second"
            found.append(
                f"all {max(first, second):,} comparisons of source {source} with a known position were won "
                f"by the response shown {side}: its place cannot be told from its quality; check which "
                "column says what was shown first"
            )
    return found
