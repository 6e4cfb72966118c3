"""What files of labels have in common before they are merged: one batch, one file of each annotator."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError

from .label_files import Label, LabelFile, read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .batch import Batch


def one_of_each(files: list[LabelFile], *, newest: bool) -> list[LabelFile]:
    """Return one file of each annotator.

    Parameters
    ----------
    files : list of LabelFile
        Any number of each annotator; names that differ in case only are one.
    newest : bool
        Merge several of one annotator: the newest label of each response counts.

    Returns
    -------
    list of LabelFile
        In the order of the annotators.

    Raises
    ------
    TruewardError
        If an annotator has several files and ``newest`` is not set; it says which is newer.

    """
    by_name: dict[str, list[LabelFile]] = defaultdict(list)
    for file in files:
        by_name[file.annotator.casefold()].append(file)
    kept = []
    for same in by_name.values():
        old, *more = sorted(same, key=lambda file: file.last)
        if more and not newest:
            new = more[-1]
            both = len(old.labels.keys() & new.labels.keys())
            raise TruewardError(
                f"{old.path} and {new.path} are both by {new.annotator}; {new.path} is newer "
                f"({new.last:%Y-%m-%d %H:%M}, {len(new.labels)} responses, {both} of the "
                f"{len(old.labels)} in the other): give only that one, or add --newest, which keeps the "
                "newest label of each response"
            )
        require_one_batch(same)
        labels = dict(old.labels)
        for file in more:
            for item, label in file.labels.items():
                if item not in labels or label.at >= labels[item].at:
                    labels[item] = label
        kept.append(replace(old, labels=labels))
    return kept


def require_one_batch(files: list[LabelFile]) -> None:
    """Refuse labels of several batches.

    Parameters
    ----------
    files : list of LabelFile
        At least one.

    Raises
    ------
    TruewardError
        With both batches, or if only some labels have a weight.

    """
    first = files[0]
    for file in files:
        if (file.batch, file.rows) != (first.batch, first.rows):
            raise TruewardError(
                f"{first.path} is of batch {first.batch} ({first.rows} responses) and {file.path} of batch "
                f"{file.batch} ({file.rows} responses), whose chances differ: merge each batch by itself"
            )
    weighted = {v.gold_weight is None for file in files for v in file.labels.values()}
    if len(weighted) > 1:
        raise TruewardError(
            f"only some labels of batch {first.batch} have a gold_weight: give the files as they were "
            "downloaded"
        )


def require_plan(files: list[LabelFile], batch: Batch) -> None:
    """Refuse labels of other rows than those of the plan.

    Parameters
    ----------
    files : list of LabelFile
        Of one batch.
    batch : Batch
        The file that was labelled.

    Raises
    ------
    TruewardError
        With one of the responses that are not in it.

    """
    known = {item.item for item in batch.items}
    for file in files:
        foreign = [label for item, label in file.labels.items() if item not in known]
        if foreign or file.batch != batch.digest:
            about = f", such as {foreign[0].response[:40]!r}" if foreign else ""
            raise TruewardError(
                f"{file.path} has {len(foreign)} labels of responses that are not in "
                f"{batch.source}{about} (batch {file.batch}, and the file has {batch.digest}): give the "
                "file that was labelled"
            )


def adjudications(
    paths: Sequence[str | Path], votes: dict[str, list[Label]], *, newest: bool
) -> dict[str, list[Label]]:
    """Return the labels of an adjudication.

    Parameters
    ----------
    paths : sequence of str or Path
        Files of labels of the disputed responses.
    votes : dict
        The labels of the annotators by response.
    newest : bool
        As for `one_of_each`.

    Returns
    -------
    dict of str to list of Label
        By response; what was skipped there is left out.

    Raises
    ------
    TruewardError
        If one is about a response without a label.

    """
    final: dict[str, list[Label]] = defaultdict(list)
    for file in one_of_each([read_labels(path) for path in paths], newest=newest):
        for item, label in file.labels.items():
            if item not in votes:
                raise TruewardError(
                    f"{file.path} adjudicates a response that no other file has a label of "
                    f"({label.response[:40]!r}): give the labels of the list that `--disputed` wrote"
                )
            if label.gold is not None:
                final[item].append(label)
    return final
