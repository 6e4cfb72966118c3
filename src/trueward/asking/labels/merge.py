"""Merge the labels of several annotators into one table of gold labels that keeps the chances of the draw."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.arguments import PATHS, SEVERAL, WHOLE, require_kinds
from trueward.core.errors import TruewardError

from .agreement import krippendorff_alpha
from .batch import plan_table, read_batch
from .label_files import Annotator, Label, LabelFile, read_labels
from .one_batch import adjudications, one_of_each, require_one_batch, require_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trueward.core.estimate import Estimate

ALIKE = 10  # labels of one annotator from which it is flagged that all are the same
HASTY = 1.0  # seconds for half of the labels of one annotator, below which it is flagged


@dataclass(frozen=True)
class MergedLabels:
    """Gold labels of several annotators; ``str()`` says how far they agree.

    See Also
    --------
    merge_labels : Computes it.

    """

    #: A row for each response with a label: ``prompt``, ``response``, ``gold`` (mean of its labels),
    #: ``gold_weight`` (1 / P(labelled); not there in a uniform draw), ``gold_n`` (number of labels),
    #: ``seconds`` (mean time of a label).
    frame: pl.DataFrame
    #: Responses on which annotators differ, as a batch of its own to label once more.
    disputed: pl.DataFrame
    #: Krippendorff's alpha of the labels, before adjudication.
    alpha: Estimate
    annotators: tuple[Annotator, ...]
    #: Number of responses of the batch, of those that nobody reached, of those that were only skipped, and of
    #: those with several labels.
    counts: tuple[int, int, int, int]
    #: Reasons of skips, with their number.
    reasons: dict[str, int]
    #: Median time of a label in seconds.
    seconds: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the account as plain data."""
        rows, open_rows, skipped, several = self.counts
        return {
            "rows": rows,
            "labelled": self.frame.height,
            "not_reached": open_rows,
            "skipped": skipped,
            "labelled_twice": several,
            "disputed": self.disputed.height,
            "alpha": self.alpha.to_json(),
            "seconds": self.seconds,
            "annotators": [vars(one) for one in self.annotators],
            "reasons": self.reasons,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        """Format the account, with a line for each annotator."""
        rows, open_rows, skipped, several = self.counts
        reason = f" ({self.alpha.reason})" if self.alpha.reason else ""
        lines = [
            f"{self.frame.height:,} of {rows:,} responses labelled, {several:,} by several annotators",
            f"{skipped:,} skipped, {open_rows:,} not reached, {self.disputed.height:,} to adjudicate",
            f"Krippendorff's alpha: {self.alpha}{reason}",
            f"median time of a label: {self.seconds:.1f} s",
            "",
            f"{'annotator':<24}{'labels':>8}{'skipped':>9}{'good':>7}{'seconds':>9}",
        ]
        for one in self.annotators:
            good = "-" if one.good is None else f"{one.good:.0%}"
            seconds = "-" if one.seconds is None else f"{one.seconds:.1f}"
            lines.append(f"{one.name:<24}{one.labels:>8,}{one.skipped:>9,}{good:>7}{seconds:>9}")
        lines += [f"skipped {count:,}: {reason}" for reason, count in self.reasons.items()]
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def merge_labels(
    files: Sequence[str | Path],
    *,
    adjudicated: Sequence[str | Path] = (),
    plan: object | None = None,
    newest: bool = False,
    seed: int = 0,
) -> MergedLabels:
    """Merge files of labels into gold labels, and measure how far the annotators agree.

    gold = mean of the labels of a response; gold_weight = n / (n - o) / P(drawn) for n responses in the
    batch, of which nobody reached o: every annotator has a random order, so those that were reached are a
    random part of the draw.

    Parameters
    ----------
    files : sequence of str or Path
        What the annotators downloaded, one file each.
    adjudicated : sequence of str or Path, optional
        Files of labels of the disputed responses; they replace the labels of the others.
    plan : str, Path or table, optional
        The file that was labelled: every label must be about one of its rows.
    newest : bool, default False
        Of several files of one annotator, keep the newest label of each response. Otherwise they are an
        error.
    seed : int, default 0
        Seed of the interval of alpha.

    Returns
    -------
    MergedLabels
        Its ``frame`` is what ``evaluate --gold``, `Log.with_gold` and ``calibrate`` read.

    Raises
    ------
    TruewardError
        If a file is no file of labels or was changed, the files are of several batches, two are of one
        annotator, a label is about no row of the plan, or every response was skipped.

    Examples
    --------
    >>> merge_labels(["anna.jsonl", "ben.jsonl"]).frame.write_parquet("gold.parquet")  # doctest: +SKIP

    """
    if not (SEVERAL.admits(files) and not list(files)):
        require_kinds("merge_labels", files=(files, PATHS))
    require_kinds("merge_labels", adjudicated=(adjudicated, SEVERAL), seed=(seed, WHOLE))
    given = one_of_each([read_labels(path) for path in files], newest=newest)
    if not given:
        raise TruewardError("no file of labels is given: name what the annotators downloaded")
    require_one_batch(given)
    if plan is not None:
        require_plan(given, read_batch(plan))
    votes: dict[str, list[Label]] = defaultdict(list)
    for file in given:
        for item, label in file.labels.items():
            votes[item].append(label)
    final = adjudications(adjudicated, votes, newest=newest)
    return _Merge(given, votes, final, seed).result()


@dataclass(frozen=True)
class _Merge:
    """The labels of each response, and those that replace them."""

    files: list[LabelFile]
    votes: dict[str, list[Label]]
    final: dict[str, list[Label]]
    seed: int

    @cached_property
    def golds(self) -> dict[str, list[float]]:
        """Labels of each response that has any, before adjudication."""
        values = {
            k: [v.gold for v in labels if v.gold is not None] for k, labels in self.votes.items()
        }
        return {k: labels for k, labels in values.items() if labels}

    def result(self) -> MergedLabels:
        """Put everything together."""
        rows, reached = self.files[0].rows, len(self.votes)
        kept = {k: v for k in self.votes for v in [self._counting(k)] if v}
        if not kept:
            raise TruewardError(
                "every response was skipped, so there is no label: see the reasons in the files"
            )
        frame = pl.DataFrame(
            [_row(labels, rows / reached) for labels in kept.values()],
            schema={
                "prompt": pl.String,
                "response": pl.String,
                "gold": pl.Float64,
                "gold_weight": pl.Float64,
                "gold_n": pl.Int64,
                "seconds": pl.Float64,
            },
            orient="row",
        )
        weighted = frame["gold_weight"].null_count() == 0
        apart = [
            self.votes[k][0]
            for k, v in self.golds.items()
            if len(set(v)) > 1 and k not in self.final
        ]
        timed = [v.seconds for labels in self.votes.values() for v in labels if v.gold is not None]
        people = tuple(file.account() for file in self.files)
        reasons = [v.skipped for labels in self.votes.values() for v in labels if v.skipped]
        return MergedLabels(
            frame if weighted else frame.drop("gold_weight"),
            _disputed(apart),
            krippendorff_alpha(self.golds.values(), seed=self.seed),
            people,
            (
                rows,
                rows - reached,
                reached - len(kept),
                sum(len(v) > 1 for v in self.golds.values()),
            ),
            {
                r: reasons.count(r)
                for r in sorted(set(reasons), key=lambda r: (-reasons.count(r), r))
            },
            median(timed) if timed else 0.0,
            tuple(self._warnings(people, reached - len(kept), reached)),
        )

    def _counting(self, item: str) -> list[Label]:
        """The labels that count: those of the adjudication, or those of all annotators."""
        labels = self.final.get(item) or self.votes[item]
        return [label for label in labels if label.gold is not None]

    def _warnings(self, people: tuple[Annotator, ...], skipped: int, reached: int) -> Iterator[str]:
        """Flag annotators that answer all alike or in no time, and skips."""
        for one, file in zip(people, self.files, strict=True):
            values = {v.gold for v in file.labels.values() if v.gold is not None}
            if one.labels >= ALIKE and len(values) == 1:
                word = "good" if values == {1.0} else "bad"
                rest = [v for k in file.labels for v in self.golds.get(k, ())]
                others = len(rest) - one.labels
                same = sum(v in values for v in rest) - one.labels
                beside = f"; others call {same} of the same {others} so" if others else ""
                yield (
                    f"all {one.labels} labels of {one.name} are {word}{beside}: ask whether the guideline "
                    "is clear"
                )
            if one.labels >= ALIKE and one.seconds is not None and one.seconds < HASTY:
                yield (
                    f"half of the labels of {one.name} took less than {one.seconds:.1f} s: nobody reads "
                    "a response in that time"
                )
        if skipped:
            yield (
                f"{skipped} of {reached} responses were only skipped, and these are not a random part: the "
                "estimates hold for responses that annotators can label"
            )


def _row(labels: list[Label], scale: float) -> tuple[Any, ...]:
    """Row of the gold table; the weight grows by the share of the draw that nobody reached."""
    one = labels[0]
    weight = None if one.gold_weight is None else one.gold_weight * scale
    gold = fmean(label.gold for label in labels if label.gold is not None)
    return one.prompt, one.response, gold, weight, len(labels), fmean(v.seconds for v in labels)


def _disputed(labels: list[Label]) -> pl.DataFrame:
    """Responses to label once more, as a batch of their own."""
    rows = pl.DataFrame(
        [(v.prompt, v.response, v.gold_weight) for v in labels],
        schema={"prompt": pl.String, "response": pl.String, "gold_weight": pl.Float64},
        orient="row",
    )
    if rows["gold_weight"].null_count():
        rows = rows.drop("gold_weight")
    return plan_table(rows, twice=0.0)
