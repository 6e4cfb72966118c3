"""The log of a product and a test set with true labels, as tables with canonical columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import polars as pl

from trueward.core.arguments import MAPPING, TEXT, require_kinds
from trueward.core.errors import TruewardError, UsageError
from trueward.core.overview import Overview, Shown, cell

from .converted import to_dataset, to_pandas
from .digests import fingerprint
from .feedback_column import read_feedback
from .feedback_words import FeedbackWords
from .gold import read_gold, require_gold_weight
from .log_columns import (
    FAMILIES,
    OPTIONAL,
    REQUIRED,
    SELDOM,
    TEST_COLUMNS,
    context_candidates,
    ignored_columns,
    log_order,
    may_be_context,
    no_feedback_error,
    require_feedback,
    require_texts,
    require_truth,
)
from .log_pairs import attach, log_of
from .lottery_columns import lottery_names
from .pair_layouts import read_comparisons
from .readers import match_columns, read_table, typed_frame, wanted_columns, without_gaps

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import datasets
    import pandas as pd

    from .export_scope import ExportScope
    from .log_pairs import LogPairs

Regime = Literal["observational", "implicit", "channels", "pairs"]


SHOWN = 5  # rows of a table in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Log(Shown):
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

    frame: pl.DataFrame
    source: str
    ignored: tuple[str, ...] = ()
    gold_unmatched: int = 0
    export_scope: ExportScope | None = None
    feedback_values: Mapping[str, tuple[float | None, int]] = field(default_factory=dict)
    context_candidates: tuple[str, ...] = ()
    without_text: int = 0
    unrated_share: float | None = None
    pairs: LogPairs | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.frame.height

    @property
    def columns(self) -> set[str]:
        """Names of the columns of the frame."""
        return set(self.frame.columns)

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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same for every file format."""
        return fingerprint(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        """Return the canonical columns as a ``pandas.DataFrame``."""
        return to_pandas(self.frame)

    def to_dataset(self) -> datasets.Dataset:
        """Return the canonical columns as a ``datasets.Dataset``; `read_log` reads one, too."""
        return to_dataset(self.frame)

    def _overview(self) -> Overview:
        rate = ", ".join(name.partition(".")[2] for name in self.channels)
        if len(self) and self.regime != "channels":
            rate = f"{self.feedback_rate:.1%} with feedback"
        notes = [f"columns not used: {', '.join(self.ignored)}"] if self.ignored else []
        if self.without_text:
            notes.append(f"{self.without_text:,} rows without a text were left out")
        return _preview(self.frame, f"{self.source}: {{}}, {self.regime}, {rate}", notes)

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
        >>> log = read_log(pl.DataFrame({"prompt": ["a"], "response": ["b"], "feedback": [1]}))
        >>> gold = pl.DataFrame({"prompt": ["a"], "response": ["b"], "label": [0.0]})
        >>> log.with_gold(gold, gold="label").frame["gold"].to_list()
        [0.0]

        """
        table = source.frame if isinstance(source, Log | Test) else source
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


@dataclass(frozen=True, eq=False, repr=False)
class Test(Shown):
    """A test set with the truth about each response.

    `read_test` makes it. ``prompt``, ``response`` and ``prompt_id`` are String without nulls. There is a
    ``label`` in [0, 1], a finite ``rating`` (higher is better), or both, in every row. Optional: ``user_id``
    and ``weight``.

    Attributes
    ----------
    frame : polars.DataFrame
        The canonical columns.
    source : str
        Path of the file or folder, or a description of a table in memory.
    ignored : tuple of str
        Columns of the source that are not used.

    Examples
    --------
    >>> import trueward as tw
    >>> test = tw.read_test(pl.DataFrame({"prompt": ["a"], "response": ["b"], "label": [1.0]}))
    >>> len(test), sorted(test.columns)
    (1, ['label', 'prompt', 'prompt_id', 'response'])

    """

    __test__ = False  # not a test class of pytest

    frame: pl.DataFrame
    source: str
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.frame.height

    @property
    def columns(self) -> set[str]:
        """Names of the columns of the frame."""
        return set(self.frame.columns)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same for every file format."""
        return fingerprint(self.frame)

    def to_pandas(self) -> pd.DataFrame:
        """Return the canonical columns as a ``pandas.DataFrame``."""
        return to_pandas(self.frame)

    def to_dataset(self) -> datasets.Dataset:
        """Return the canonical columns as a ``datasets.Dataset``; `read_test` reads one, too."""
        return to_dataset(self.frame)

    def _overview(self) -> Overview:
        notes = [f"columns not used: {', '.join(self.ignored)}"] if self.ignored else []
        return _preview(self.frame, f"{self.source}: {{}}", notes)


def _preview(frame: pl.DataFrame, title: str, notes: list[str]) -> Overview:
    """Show the first rows of a table; ``{}`` in the title becomes its size."""
    shown = frame.drop("prompt_id", strict=False)
    rows = [[cell(v) for v in row] for row in shown.head(SHOWN).iter_rows()]
    size = f"{len(frame):,} rows, {frame['prompt_id'].n_unique():,} prompts"
    more = [f"the first {SHOWN} of {len(frame):,} rows"] if len(frame) > SHOWN else []
    return Overview(title.replace("{}", size, 1), shown.columns, rows, [*more, *notes])


def as_log(source: object, function: str) -> Log:
    """Return a log, or read what `read_log` reads.

    Parameters
    ----------
    source : Log, path or table
        The log.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    Log

    Raises
    ------
    UsageError
        If the source is neither.
    TruewardError
        If it cannot be read.

    """
    if isinstance(source, Log):
        return source
    if isinstance(source, Test):
        raise UsageError(
            f"{function} takes a log of feedback, and was given a test with true labels"
        )
    if type(source).__module__ == "trueward.data.feedback":  # which would load torch
        raise UsageError(
            f"{function} takes a log with its texts, and was given {type(source).__name__}, which has "
            "features only: pass what read_log returns"
        )
    if source is None or isinstance(source, int | float):
        raise UsageError(
            f"{function} takes a log, or a table or file to read one from, not {source!r}"
        )
    return read_log(source)


def as_test(source: object, function: str) -> Test:
    """Return a test, or read what `read_test` reads.

    Parameters
    ----------
    source : Test, path or table
        The test.
    function : str
        Name of the function that needs it; begins the error.

    Returns
    -------
    Test

    Raises
    ------
    UsageError
        If the source is neither.
    TruewardError
        If it cannot be read.

    """
    if isinstance(source, Test):
        return source
    if isinstance(source, Log) or type(source).__module__ == "trueward.data.feedback":
        raise UsageError(
            f"{function} takes a test with true labels and texts, and was given {type(source).__name__}"
        )
    if source is None or isinstance(source, int | float):
        raise UsageError(
            f"{function} takes a test, or a table or file to read one from, not {source!r}"
        )
    return read_test(source)


def read_log(
    source: str | os.PathLike[str] | object | None,
    *,
    pairs: str | os.PathLike[str] | object | None = None,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    positive: object = (),
    negative: object = (),
    unrated: object = (),
    **columns: str,
) -> Log:
    """Read a log from a file, a folder, a query or a table in memory.

    Parameters
    ----------
    source : str, Path or table
        JSON lines, JSON, CSV (each plain or ``.gz``), Parquet or Arrow; a ``.sql`` file with a query; a
        folder of shards; a table of polars, pandas, pyarrow or `datasets`; a list of dictionaries; or a
        dictionary of columns. None: the log is made of the responses that ``pairs`` compare, without ratings.
    pairs : str, Path or table, optional
        Comparisons of responses of the log: prompt, chosen and rejected (texts, messages, or transcripts of
        Human and Assistant), battles of two models with their conversations, or the ``pairs.parquet`` of an
        import. Those that cannot be used are counted in ``log.pairs.left_out``.
    mapping : mapping of str to str or None
        Canonical name -> column of the source; needed for names with a dot, such as ``context.length``.
    split : str or None
        Which split of a folder or of a ``DatasetDict`` to read.
    positive, negative, unrated : value or sequence of values
        Values of feedback that mean good, bad, and none: words, numbers, or conditions such as ``">=4"``.
        Words such as ``like``, ``thumbs down`` or ``yes``, -1/0/1, and stars of 1 to 5 or 1 to 10 are known
        without them.
    **columns : str
        The same as ``mapping``, such as ``prompt="question"``.

    Returns
    -------
    Log
        A column without any value counts as absent. Without ``prompt_id`` it is computed from the prompt.

    Raises
    ------
    TruewardError
        If the source cannot be read, lacks a column, or has a wrong value; with row and column.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> frame = pl.DataFrame({"q": ["a", "b"], "response": ["c", "d"], "thumb": ["up", None]})
    >>> read_log(frame, prompt="q", feedback="thumb").feedback_rate
    0.5
    >>> read_log(frame, prompt="q", feedback="thumb").frame["feedback"].to_list()
    [1.0, None]

    """
    require_kinds("read_log", mapping=(mapping, MAPPING.or_none), split=(split, TEXT.or_none))
    words = FeedbackWords.of(positive, negative, unrated)
    if source is None:
        return _log_of_pairs(pairs, mapping, columns, words, split)
    wanted = wanted_columns((*REQUIRED, *OPTIONAL), FAMILIES, mapping, **columns)
    table = read_table(source, replace(wanted, also=may_be_context), split)
    names = match_columns(wanted, table.names, table.source)
    by_id = pairs is not None
    names = lottery_names(names, wanted.mapping, table.source, compared=by_id)
    if pairs is None or "feedback" in names:
        require_feedback(table, names)
    else:
        require_texts(table, names)
    table, without_text = without_gaps(table, [names["prompt"], names["response"]])
    meanings: dict[str, tuple[float | None, int]] = {}
    if (column := names.get("feedback")) in table.columns:
        ask = column not in REQUIRED and "." not in column
        values, meanings = read_feedback(table.columns[column], column, table.place, words, ask=ask)
        table = replace(table, columns={**table.columns, column: values})
    elif words.given:
        raise UsageError(f"{table.source} has no column of feedback whose values could be given")
    frame = typed_frame(table, names)
    channels = [name for name in frame.columns if name.startswith("channel.")]
    if "feedback" not in frame.columns:
        if len(channels) < 2 and pairs is None:
            raise no_feedback_error(table, names, channels)
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias("feedback"))
    frame = frame.select(log_order(frame.columns))
    require_gold_weight(frame, table.source)
    ignored = ignored_columns(table, names, frame)
    scope = table.export_scope
    return Log(
        frame,
        table.source,
        ignored,
        export_scope=scope,
        feedback_values=meanings,
        context_candidates=context_candidates(table, names),
        without_text=without_text,
        pairs=None if pairs is None else attach(frame, read_comparisons(pairs)),
    )


def _log_of_pairs(
    pairs: object,
    mapping: Mapping[str, str] | None,
    columns: Mapping[str, str],
    words: FeedbackWords,
    split: str | None,
) -> Log:
    """Return the log that consists of the responses which pairs compare."""
    if pairs is None:
        raise UsageError(
            "read_log needs a log, or pairs whose responses are the log: give one of them"
        )
    if words.given:
        raise UsageError(
            "positive, negative and unrated are values of feedback, and pairs have none"
        )
    found = read_comparisons(pairs, mapping={**(mapping or {}), **columns}, split=split)
    frame = log_of(found)
    return Log(frame, found.source, pairs=attach(frame, found))


def read_test(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> Test:
    """Read a test set: prompt, response, and ``label`` in [0, 1], a finite ``rating``, or both.

    ``user_id`` and ``weight`` are read where they are given.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    mapping : mapping of str to str or None
        Canonical name -> column of the source.
    split : str or None
        Which split of a folder to read.
    **columns : str
        The same as ``mapping``, such as ``label="correct"``.

    Returns
    -------
    Test
        The rows in the order of the source.

    Raises
    ------
    TruewardError
        If the source cannot be read, lacks a column, or has a wrong value; with row and column.
    UsageError
        If the mapping or the split is wrong.

    Examples
    --------
    >>> frame = pl.DataFrame({"prompt": ["a"], "response": ["b"], "correct": [1]})
    >>> read_test(frame, label="correct").frame["label"].to_list()
    [1.0]

    """
    require_kinds("read_test", mapping=(mapping, MAPPING.or_none), split=(split, TEXT.or_none))
    wanted = wanted_columns(TEST_COLUMNS, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    require_texts(table, names)
    require_truth(table, names)
    frame = typed_frame(table, names)
    if not {"label", "rating"} & set(frame.columns):
        raise TruewardError(
            f"a test needs a `label` or a `rating`, but {table.source} has no value in its column: "
            "add values or map another column"
        )
    frame = frame.select([name for name in TEST_COLUMNS if name in frame.columns])
    return Test(frame, table.source, ignored_columns(table, names, frame))
