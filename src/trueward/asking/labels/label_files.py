"""Files of labels that annotators downloaded from a page: one label a line, with the texts it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .batch import item_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = "trueward labels 1"
KINDS: dict[str, type | tuple[type, ...]] = {
    "batch": str,
    "rows": int,
    "item": str,
    "annotator": str,
    "prompt": str,
    "response": str,
    "gold_weight": (int, float, type(None)),
    "gold": (int, float, type(None)),
    "skipped": (str, type(None)),
    "seconds": (int, float),
    "at": str,
}


@dataclass(frozen=True)
class Label:
    """One label, or one response that was skipped.

    Attributes
    ----------
    item, prompt, response, gold_weight
        As in `Item`.
    gold : float or None
        1 (good) or 0 (bad); None where it was skipped.
    skipped : str or None
        Why it was skipped.
    seconds : float
        How long the response was looked at.
    at : datetime
        When, in UTC.

    """

    item: str
    prompt: str
    response: str
    gold_weight: float | None
    gold: float | None
    skipped: str | None
    seconds: float
    at: datetime


@dataclass(frozen=True)
class Annotator:
    """What one annotator did.

    Attributes
    ----------
    name : str
        As the annotator wrote it.
    labels, skipped : int
        Number of responses with a label, and of those without.
    good : float or None
        Share of good ones among the labels.
    seconds : float or None
        Median time of a label.

    """

    name: str
    labels: int
    skipped: int
    good: float | None
    seconds: float | None


@dataclass(frozen=True)
class LabelFile:
    """The labels of one annotator.

    Attributes
    ----------
    path : str
        The file.
    annotator : str
        Name as the annotator wrote it.
    batch : str
        Digest of the batch.
    rows : int
        Number of responses in the batch.
    labels : dict of str to Label
        By the digest of the response.

    """

    path: str
    annotator: str
    batch: str
    rows: int
    labels: dict[str, Label]

    @property
    def last(self) -> datetime:
        """Time of the last label."""
        return max(label.at for label in self.labels.values())

    def account(self) -> Annotator:
        """Count the labels and skips."""
        labelled = [v for v in self.labels.values() if v.gold is not None]
        golds = [v.gold for v in labelled if v.gold is not None]
        seconds = [v.seconds for v in labelled]
        return Annotator(
            self.annotator,
            len(golds),
            len(self.labels) - len(golds),
            fmean(golds) if golds else None,
            median(seconds) if seconds else None,
        )


def read_labels(path: str | Path) -> LabelFile:
    """Read a file of labels, and check that no line was changed.

    Parameters
    ----------
    path : str or Path
        What an annotator downloaded.

    Returns
    -------
    LabelFile
        Its labels and skips.

    Raises
    ------
    TruewardError
        If the file is empty, is no file of labels, was changed, or has labels of several annotators or
        batches.

    """
    labels: dict[str, Label] = {}
    heads: set[tuple[str, str, int]] = set()
    for place, row in _lines(Path(path)):
        label = Label(
            row["item"],
            row["prompt"],
            row["response"],
            row["gold_weight"],
            None if row["gold"] is None else float(row["gold"]),
            row["skipped"],
            float(row["seconds"]),
            _moment(row["at"], place),
        )
        if item_digest(label.prompt, label.response, label.gold_weight) != label.item:
            raise TruewardError(
                f"{place} is about no response of its batch: its texts or its gold_weight were changed "
                "after it was labelled; give the file as it was downloaded"
            )
        if label.item in labels:
            raise TruewardError(
                f"{place} labels a response that an earlier line labels, too: give each file as it was "
                "downloaded"
            )
        labels[label.item] = label
        heads.add((row["annotator"].strip(), row["batch"], row["rows"]))
        if len(heads) > 1:
            raise TruewardError(
                f"{place} is of another annotator or batch than the lines before it: give each file as "
                "it was downloaded"
            )
    if not labels:
        raise TruewardError(f"{path} has no label: download the labels from the page again")
    ((annotator, batch, rows),) = heads
    return LabelFile(str(path), annotator, batch, rows, labels)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the checked fields of every line."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    except OSError as e:
        raise TruewardError(f"{path} cannot be read ({e.strerror}): name a file of labels") from e
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or row.get("format") != FORMAT:
            raise TruewardError(
                f"{place} is no label: expected the labels.jsonl that an annotator downloads from the "
                "page of `trueward label`"
            )
        for name, kind in KINDS.items():
            if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
                raise TruewardError(
                    f"{place} has no valid {name!r}: give the file as it was downloaded"
                )
        if row["gold"] not in (None, 0, 1) or (row["gold"] is None) == (row["skipped"] is None):
            raise TruewardError(
                f"{place} should have gold 1 or 0, or a reason in `skipped`, and has gold "
                f"{row['gold']!r}: give the file as it was downloaded"
            )
        yield place, row


def _moment(text: str, place: str) -> datetime:
    """Time of a label."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise TruewardError(
            f"{place} has the time {text!r}, which is no time in UTC: give the file as it was downloaded"
        )
    return at
