"""The log of a product, as a table with canonical columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import polars as pl

from trueward.core.errors import TruewardError

from .gold import read_gold, require_gold_weight
from .log_columns import FAMILIES, OPTIONAL, SELDOM, log_order
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.core.overview import Overview

    from .export_scope import ExportScope
    from .log_pairs import LogPairs

Regime = Literal["observational", "implicit", "channels", "pairs"]


@dataclass(frozen=True, eq=False, repr=False)
class Log(Rows):
    """The log of a product: one row per response that was shown.

    `read_log` makes it. The columns have canonical names. ``prompt``, ``response`` and ``prompt_id`` are
    String without nulls; ``feedback`` is 1 (good), 0 (bad) or null (none given). Optional: ``gold``,
    ``user_id``, ``time``, ``model``, ``weight``, ``gold_weight``, ``propensity``, and any ``channel.NAME``
    (1, 0 or null) and ``context.NAME`` (a number or a category). Of a lottery that decided whether to ask:
    ``asked`` (1 or 0), ``p_ask`` (its probability, 0 for a response that was not in the lottery), ``seen``
    (1 where the question was on the screen), ``ask_level`` and ``response_id``; see `ask`.

    Attributes
    ----------
    frame : polars.DataFrame
        The canonical columns.
    source : str
        Path of the file or folder, or a description of a table in memory.
    ignored : tuple of str
        Columns of the source that are not used.
    gold_unmatched : int
        Rows of gold tables without a row of the log with the same prompt and response.
    export_scope : ExportScope or None
        Which responses the export behind the log holds; None if its file does not say.
    feedback_values : mapping of str to (float or None, int)
        Value of feedback in the source -> the label it was read as, and its rows; empty for 1, 0 and null.
    context_candidates : tuple of str
        Unused columns that may be context, by name and content.
    without_text : int
        Rows of a pandas table that were left out because prompt or response is missing (NaN).
    unrated_share : float or None
        Share of the unrated rows that `sample_unrated` kept; None if the log was not sampled.
    pairs : LogPairs or None
        Comparisons of two rows; None if none were read.

    Examples
    --------
    >>> import trueward as tw
    >>> frame = pl.DataFrame({"prompt": ["a", "a"], "response": ["b", "c"], "feedback": [1, 0]})
    >>> log = tw.read_log(frame)
    >>> len(log), log.feedback_rate, log.regime
    (2, 1.0, 'observational')

    """

    gold_unmatched: int = 0
    export_scope: ExportScope | None = None
    feedback_values: Mapping[str, tuple[float | None, int]] = field(default_factory=dict)
    context_candidates: tuple[str, ...] = ()
    without_text: int = 0
    unrated_share: float | None = None
    pairs: LogPairs | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Optional columns that the log lacks; ``channel.*`` stands for a family without members.

        ``gold_weight`` and the columns of a lottery are never listed, because few logs need them.
        """
        families = {name.split(".")[0] for name in self.columns if "." in name}
        absent = [n for n in OPTIONAL if n not in self.columns and n not in SELDOM]
        return (*absent, *(f"{family}.*" for family in FAMILIES if family not in families))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channel columns, with the prefix ``channel.``."""
        return tuple(name for name in self.frame.columns if name.startswith("channel."))

    @property
    def row_weight(self) -> pl.Series:
        """(n,) number of shown responses that each row represents, Float64; 1 without ``weight``."""
        if "weight" not in self.columns:
            return pl.Series("weight", [1.0], dtype=pl.Float64).new_from_index(0, len(self))
        return self.frame["weight"].fill_null(1.0)

    @property
    def label_weight(self) -> pl.Series:
        """(n,) weight x gold_weight of rows with a gold label, 0 elsewhere; see `Feedback.label_weight`."""
        if "gold" not in self.columns:
            return self.row_weight * 0.0
        weight = self.row_weight
        if "gold_weight" in self.columns:
            weight = weight * self.frame["gold_weight"]
        return (weight * self.frame["gold"].is_not_null()).fill_null(0.0)

    @property
    def feedback_rate(self) -> float:
        """Share of the shown responses with feedback, from 0 to 1; rows count by their ``weight``."""
        rated = self.frame["feedback"].is_not_null()
        if "weight" not in self.columns:
            return 1 - self.frame["feedback"].null_count() / len(self)
        return self.share_of(rated)

    def share_of(self, rows: pl.Series) -> float:
        """Return the share of the shown responses that some rows represent, by ``weight``.

        Parameters
        ----------
        rows : polars.Series of bool, length n
            Which rows.

        Returns
        -------
        float
            From 0 to 1.

        """
        return float((self.row_weight * rows).sum()) / float(self.row_weight.sum())

    @property
    def has_unrated(self) -> bool:
        """Whether any row has no feedback."""
        return bool(self.frame["feedback"].null_count())

    @property
    def regime(self) -> Regime:
        """Kind of feedback: ``observational`` (1 and 0), ``implicit`` (1 only), ``channels`` or ``pairs``."""
        feedback = self.frame["feedback"]
        if feedback.null_count() == len(feedback):
            if len(self.channels) > 1:
                return "channels"
            if self.pairs is not None:
                return "pairs"
        return "observational" if (feedback == 0).any() else "implicit"

    def _overview(self, kind: str = "", left_out: str = "") -> Overview:
        kind = ", ".join(name.partition(".")[2] for name in self.channels)
        if len(self) and self.regime != "channels":
            kind = f"{self.feedback_rate:.1%} with feedback"
        if self.without_text:
            left_out = f"{self.without_text:,} rows without a text were left out"
        return super()._overview(f", {self.regime}, {kind}", left_out)

    def with_gold(
        self,
        source: object,
        *,
        mapping: Mapping[str, str] | None = None,
        split: str | None = None,
        **columns: str,
    ) -> Log:
        """Return the log with gold labels from a table of prompt, response and gold.

        A label is added to every row with exactly the same prompt and response, and so is its
        ``gold_weight``, if the table has one; it replaces the weight in the log.

        Parameters
        ----------
        source : str, Path, table, Log or Test
            The table with the labels.
        mapping : mapping of str to str or None
            Canonical name -> column of the source, such as ``{"gold": "label"}``.
        split : str or None
            Which split of a folder to read.
        **columns : str
            The same as ``mapping``.

        Returns
        -------
        Log
            A new log; rows of the table without a match are counted in ``gold_unmatched``.

        Raises
        ------
        TruewardError
            If no row matches, if two labels of one pair differ, or if a gold row lacks a ``gold_weight``
            that others have.

        Examples
        --------
        >>> import trueward as tw
        >>> log = tw.read_log(pl.DataFrame({"prompt": ["a"], "response": ["b"], "feedback": [1]}))
        >>> gold = pl.DataFrame({"prompt": ["a"], "response": ["b"], "label": [0.0]})
        >>> log.with_gold(gold, gold="label").frame["gold"].to_list()
        [0.0]

        """
        table = source.frame if isinstance(source, Rows) else source
        gold = read_gold(table, mapping, split, columns)
        names = [name for name in ("gold", "gold_weight") if name in gold.columns]
        labels = gold.group_by("prompt", "response").agg(
            pl.col(name).drop_nulls().first().alias(f"new {name}") for name in names
        )
        rows = self.frame.with_row_index("row")
        joined = rows.join(labels, on=["prompt", "response"], how="left").sort("row")
        if not joined["new gold"].is_not_null().any():
            raise TruewardError(
                f"none of the {gold.height} gold rows has the prompt and response of a row of "
                f"{self.source}; both texts must be equal: copy them from the log"
            )
        if "gold" in self.columns:
            differs = (joined["gold"] != joined["new gold"]).fill_null(value=False)
            if differs.any():
                i = int(differs.arg_true()[0])
                raise TruewardError(
                    f"gold labels must agree, but row {i + 1} of {self.source} has "
                    f"{joined['gold'][i]:g} and the gold table {joined['new gold'][i]:g}: keep one"
                )
        merged = [
            pl.coalesce([n for n in (f"new {name}", name) if n in joined.columns]).alias(name)
            for name in names
        ]
        unmatched = gold.join(self.frame, on=["prompt", "response"], how="anti").height
        frame = joined.with_columns(merged).select(log_order([*{*self.columns, *names}]))
        require_gold_weight(frame, self.source)
        return replace(self, frame=frame, gold_unmatched=self.gold_unmatched + unmatched)
