"""The log of a product and a clean test set, as tables with known columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import polars as pl

from trueward.core.errors import TruewardError

from .readers import Table, absent, fingerprint, listed, read_gold, read_table, resolve, typed, want

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from .export_scope import ExportScope

Regime = Literal["observational", "implicit", "channels"]

NEEDED = ("prompt", "response", "feedback", "prompt_id")
OPTIONAL = ("gold", "user_id", "time", "model", "weight", "propensity")
PAIRS = ("prompt", "response", "prompt_id", "user_id", "model", "time")
TEST = ("prompt", "response", "prompt_id", "label", "rating")


@dataclass(frozen=True, eq=False)
class Log:
    """What a product saw: one row per response that was shown, with canonical columns only.

    ``prompt``, ``response``, ``prompt_id`` are String without nulls, ``feedback`` is 1, 0 or null;
    the optional columns that the source has follow.
    """

    frame: pl.DataFrame
    source: str
    ignored: tuple[str, ...] = ()  # columns of the source that are not in the frame
    gold_unmatched: int = 0  # rows of a gold table whose prompt and response the log lacks
    export_scope: ExportScope | None = (
        None  # what kind of export it was made of, where its file says so
    )

    def __len__(self) -> int:
        """Count the rows."""
        return self.frame.height

    @property
    def columns(self) -> set[str]:
        """Names of the canonical columns in the frame."""
        return set(self.frame.columns)

    @property
    def missing(self) -> tuple[str, ...]:
        """Optional columns that the log lacks; a family that has no member is ``channel.*``."""
        families = {name.split(".")[0] for name in self.columns if "." in name}
        lacking = [name for name in OPTIONAL if name not in self.columns]
        return (*lacking, *(f"{f}.*" for f in ("channel", "context") if f not in families))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channel columns, with their prefix."""
        return tuple(name for name in self.frame.columns if name.startswith("channel."))

    @property
    def feedback_rate(self) -> float:
        """Share of the rows with feedback."""
        return 1 - self.frame["feedback"].null_count() / len(self)

    @property
    def has_unrated(self) -> bool:
        """Say whether any row has no feedback."""
        return bool(self.frame["feedback"].null_count())

    @property
    def regime(self) -> Regime:
        """Say what the feedback can tell: good and bad, liking only, or several signals."""
        feedback = self.frame["feedback"]
        if feedback.null_count() == len(feedback) and len(self.channels) > 1:
            return "channels"
        return "observational" if (feedback == 0).any() else "implicit"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same for every format the table may come in."""
        return fingerprint(self.frame)

    def with_gold(
        self,
        source: object,
        *,
        mapping: Mapping[str, str] | None = None,
        split: str | None = None,
        **columns: str,
    ) -> Log:
        """Give the log with trusted labels from a table of prompt, response and gold.

        A label goes to every row with the same prompt and response, character by character. Rows
        without a match are counted in ``gold_unmatched``; labels that disagree are an error.
        """
        table = source.frame if isinstance(source, Log | Test) else source
        gold = read_gold(table, mapping, split, columns)
        pairs = gold.group_by("prompt", "response").agg(pl.col("gold").first().alias("audited"))
        rows = self.frame.with_row_index("row")
        joined = rows.join(pairs, on=["prompt", "response"], how="left").sort("row")
        matched = joined["audited"].is_not_null()
        if not matched.any():
            raise TruewardError(
                f"none of the {gold.height} gold rows has the prompt and response of a row of "
                f"{self.source}, and both texts must be equal: copy them from the log"
            )
        if "gold" in self.columns:
            differs = (joined["gold"] != joined["audited"]).fill_null(value=False)
            if differs.any():
                i = int(differs.arg_true()[0])
                raise TruewardError(
                    f"gold labels must agree, but row {i + 1} of {self.source} has "
                    f"{joined['gold'][i]:g} and the gold table {joined['audited'][i]:g}: keep one"
                )
        label = pl.coalesce([n for n in ("gold", "audited") if n in joined.columns])
        lost = gold.join(self.frame, on=["prompt", "response"], how="anti").height
        frame = joined.with_columns(label.alias("gold")).select(_ordered([*self.columns, "gold"]))
        return replace(self, frame=frame, gold_unmatched=self.gold_unmatched + lost)


@dataclass(frozen=True, eq=False)
class Test:
    """Clean truth about (prompt, response): ``label`` in [0, 1], a finite ``rating``, or both."""

    __test__ = False  # the word is the field's, not pytest's

    frame: pl.DataFrame
    source: str
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the rows."""
        return self.frame.height

    @property
    def columns(self) -> set[str]:
        """Names of the columns in the frame."""
        return set(self.frame.columns)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, the same for every format the table may come in."""
        return fingerprint(self.frame)


def read_log(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> Log:
    """Read a log from a file, a folder or a table: ``read_log("a.csv", prompt="question")``.

    ``mapping`` and ``columns`` both say canonical name = column of the source (the first also for
    names with a dot); ``split`` chooses from a folder of splits. A column without a single value
    counts as absent. Raises TruewardError with the row and the column of what is wrong.
    """
    wanted = want((*NEEDED, *OPTIONAL), ("channel", "context"), mapping, **columns)
    table = read_table(source, wanted, split)
    names = resolve(wanted, table.names, table.source)
    _need_feedback(table, names)
    frame = typed(table, names)
    channels = [name for name in frame.columns if name.startswith("channel.")]
    if "feedback" not in frame.columns:
        if len(channels) < 2:
            _refuse_silent(table, names, channels)
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias("feedback"))
    frame = frame.select(_ordered(frame.columns))
    return Log(frame, table.source, _ignored(table, names, frame), export_scope=table.export_scope)


def read_test(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> Test:
    """Read clean truth: prompt, response, and ``label`` in [0, 1], a finite ``rating`` or both."""
    wanted = want(TEST, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = resolve(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise absent(table.source, missing, table.names)
    if not {"label", "rating"} & names.keys():
        raise _no_truth(table)
    frame = typed(table, names)
    if not {"label", "rating"} & set(frame.columns):
        raise TruewardError(
            f"a test needs a `label` or a `rating`, but {table.source} has no value in its column: "
            "fill it in or map another one"
        )
    frame = frame.select([name for name in TEST if name in frame.columns])
    return Test(frame, table.source, _ignored(table, names, frame))


def read_pairs(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
    **columns: str,
) -> pl.DataFrame:
    """Read prompt and response to be scored, with prompt_id, user_id, model and time if there."""
    wanted = want(PAIRS, (), mapping, **columns)
    table = read_table(source, wanted, split)
    names = resolve(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise absent(table.source, missing, table.names)
    frame = typed(table, names)
    return frame.select([name for name in PAIRS if name in frame.columns])


def _ordered(names: Sequence[str]) -> list[str]:
    """Sort names into the order of the log: needed, optional, channels, contexts."""
    fixed = [name for name in (*NEEDED, *OPTIONAL) if name in names]
    return fixed + sorted(set(names) - set(fixed))


def _ignored(table: Table, names: Mapping[str, str], frame: pl.DataFrame) -> tuple[str, ...]:
    used = {names[name] for name in frame.columns if name in names}
    return tuple(column for column in table.names if column not in used)


def _need_feedback(table: Table, names: Mapping[str, str]) -> None:
    """Refuse a source without prompt or response, or without any feedback, by its column names."""
    channels = [name for name in names if name.startswith("channel.")]
    need = ["prompt", "response", *(["feedback"] if not channels else [])]
    missing = [name for name in need if name not in names]
    if missing:
        doubt = "feedback" in missing and "label" in table.names
        note = " ('label' may be what users said, or a trusted label: --map gold=label)"
        raise absent(table.source, missing, table.names, note if doubt else "")
    if "feedback" not in names and len(channels) == 1:
        _refuse_silent(table, names, channels)


def _refuse_silent(table: Table, names: Mapping[str, str], channels: Sequence[str]) -> None:
    """Raise about a log whose feedback says nothing."""
    found = "its column has no value" if "feedback" in names else "there is no such column"
    if len(channels) == 1:
        raise TruewardError(
            f"{table.source} needs `feedback`, but {found}, and one channel alone is the feedback: "
            f"write --map feedback={names[channels[0]]}"
        )
    raise TruewardError(
        f"{table.source} needs `feedback` or two channels, but {found}; it has "
        f"{listed(table.names)}: map a column with values by --map feedback=NAME"
    )


def _no_truth(table: Table) -> TruewardError:
    """Give the error about a test without truth, with the mapping to write."""
    for column in ("gold", "feedback"):
        if column in table.names:
            trusted = " (only if an expert gave it)" if column == "feedback" else ""
            return TruewardError(
                f"a test needs a `label` or a `rating`, but {table.source} has neither; it has "
                f"{listed(table.names)}: if {column!r} is the truth, write --map label={column}"
                f"{trusted}"
            )
    return absent(table.source, ["label"], table.names, " or --map rating=NAME")
