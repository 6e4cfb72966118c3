"""The responses to label: the file of a plan, with the chance of each to be in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.core.random import numpy_stream
from trueward.data.digests import text_id
from trueward.data.readers import (
    match_columns,
    missing_columns_error,
    read_table,
    typed_frame,
    wanted_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("prompt", "response", "gold_weight", "labels", "plan")
MARK = "p"  # before the digest in a file, so that no spreadsheet takes it for a number
TWICE = 0.15  # share of the responses that two annotators label
MOST_ROWS = 10_000
MOST_LABELS = 9  # annotators of one response


@dataclass(frozen=True)
class Item:
    """One response to label.

    Attributes
    ----------
    item : str
        Digest of the prompt, the response and the weight.
    prompt, response : str
        The texts, as in the log.
    gold_weight : float or None
        1 / P(drawn); None in a uniform draw.
    labels : int
        How many annotators label it.

    """

    item: str
    prompt: str
    response: str
    gold_weight: float | None
    labels: int


@dataclass(frozen=True)
class Batch:
    """The responses of one plan.

    Attributes
    ----------
    items : tuple of Item
        Each pair of prompt and response once.
    digest : str
        Digest of all items; labels carry it.
    source : str
        Path of the file, or a description of a table in memory.
    planned : bool
        Whether the file names its digest, so that a change by hand would be found.

    """

    items: tuple[Item, ...]
    digest: str
    source: str
    planned: bool


def item_digest(prompt: str, response: str, gold_weight: float | None) -> str:
    """Return the id of a response to label: 16 hexadecimal digits of a SHA-256.

    Parameters
    ----------
    prompt, response : str
        The texts.
    gold_weight : float or None
        1 / P(drawn), to nine significant digits.

    Returns
    -------
    str
        The same in every batch.

    """
    weight = "" if gold_weight is None else f"{gold_weight:.9g}"
    return text_id(f"{prompt}\0{response}\0{weight}")


def batch_digest(items: Iterable[str]) -> str:
    """Return the id of a batch from the ids of its rows, whatever their order.

    Parameters
    ----------
    items : iterable of str
        Digests of the rows; copies count.

    Returns
    -------
    str
        16 hexadecimal digits.

    """
    return text_id("\n".join(sorted(items)))


def plan_table(rows: pl.DataFrame, *, twice: float = TWICE, seed: int = 0) -> pl.DataFrame:
    """Return the file of a plan: what to label, how often, and the digest of the draw.

    Parameters
    ----------
    rows : polars.DataFrame
        ``prompt``, ``response`` and, where chances differ, ``gold_weight`` of the drawn rows.
    twice : float, default 0.15
        Share of the rows that two annotators label, drawn at random.
    seed : int
        Seed of that draw.

    Returns
    -------
    polars.DataFrame
        With an empty column ``gold``, ``labels`` (1 or 2) and ``plan``, the digest.

    Raises
    ------
    UsageError
        If ``twice`` is not between 0 and 1.

    """
    if not 0 <= twice <= 1:
        raise UsageError(f"the share that is labelled twice lies between 0 and 1, not {twice:g}")
    weights = rows["gold_weight"] if "gold_weight" in rows.columns else [None] * rows.height
    texts = zip(rows["prompt"], rows["response"], weights, strict=True)
    digest = batch_digest(item_digest(*row) for row in texts)
    again = numpy_stream(seed, "labelled twice").permutation(rows.height)
    labels = np.ones(rows.height, np.int64)
    labels[again[: round(twice * rows.height)]] = 2
    kept = [name for name in ("prompt", "response", "gold_weight") if name in rows.columns]
    empty = pl.lit(None, dtype=pl.Float64).alias("gold")
    return rows.select(*kept[:2], empty, *kept[2:]).with_columns(
        labels=pl.Series(labels), plan=pl.lit(f"{MARK}{digest}")
    )


def read_batch(source: object, mapping: Mapping[str, str] | None = None) -> Batch:
    """Read the responses to label.

    Parameters
    ----------
    source : str, Path or table
        What ``plan --out`` wrote, or any table of ``prompt`` and ``response``; optional ``gold_weight`` (1 /
        P(drawn)) and ``labels`` (how many annotators).
    mapping : mapping of str to str or None
        Canonical name -> column of the source.

    Returns
    -------
    Batch
        The order of the rows does not matter.

    Raises
    ------
    TruewardError
        If a column is missing, there is no row, a weight is missing, or the file of a plan was changed.
    UsageError
        If it has more than 10,000 rows.

    """
    wanted = wanted_columns(COLUMNS, (), mapping)
    table = read_table(source, wanted, None)
    names = match_columns(wanted, table.names, table.source)
    missing = [name for name in ("prompt", "response") if name not in names]
    if missing:
        raise missing_columns_error(table.source, missing, table.names)
    typed = {name: names[name] for name in names if name not in ("labels", "plan")}
    frame = typed_frame(table, typed)
    if not frame.height:
        raise TruewardError(f"{table.source} has no row, so there is nothing to label")
    _require_weights(frame, table.source)
    stated = {
        name: [None if v is None else str(v) for v in table.columns[names[name]]]
        for name in ("labels", "plan")
        if name in names
    }
    digest = _checked_digest(frame, set(stated.get("plan", ())), table.source)
    planned = "plan" in stated
    if not planned and "labels" not in wanted.mapping:
        stated.pop("labels", None)  # of any other meaning
    counts = _counts(stated.get("labels", ["1"] * frame.height), table.source)
    items: dict[str, Item] = {}
    for prompt, response, weight, labels in zip(
        frame["prompt"],
        frame["response"],
        _weights(frame),
        counts,
        strict=True,
    ):
        name = item_digest(prompt, response, weight)
        most = max(labels, items[name].labels if name in items else 1)
        items[name] = Item(name, prompt, response, weight, most)
    if len({(i.prompt, i.response) for i in items.values()}) < len(items):
        raise TruewardError(
            f"{table.source} has the same prompt and response with two values of gold_weight: keep one row"
        )
    return Batch(tuple(items.values()), digest, table.source, planned)


def _checked_digest(frame: pl.DataFrame, stated: set[str | None], source: str) -> str:
    """Digest of the rows; refuse a file whose rows are not those of its plan."""
    texts = zip(frame["prompt"], frame["response"], _weights(frame), strict=True)
    digest = batch_digest(item_digest(*row) for row in texts)
    if stated and stated != {f"{MARK}{digest}"}:
        found = " and ".join(sorted(str(v) for v in stated)[:3])
        why = "comes from several plans" if len(stated) > 1 else "was changed after the plan"
        raise TruewardError(
            f"{source} {why}: its column `plan` says {found}, and its texts and weights give {MARK}{digest}; "
            "label the file as `trueward plan` wrote it (skip rows on the page instead of deleting them)"
        )
    return digest


def _require_weights(frame: pl.DataFrame, source: str) -> None:
    """Refuse a chance that only some rows have, and more rows than anybody labels on one page."""
    if frame.height > MOST_ROWS:
        raise UsageError(
            f"{source} has {frame.height:,} responses, and a batch has at most {MOST_ROWS:,}: draw those to "
            "label by trueward plan"
        )
    lacks = frame["gold_weight"].null_count() if "gold_weight" in frame.columns else 0
    if lacks:
        raise TruewardError(
            f"`gold_weight` is 1 / P(drawn) of every row, but {lacks} of {frame.height} rows of {source} "
            "have none: write it there, or drop the column where the draw was uniform"
        )


def _weights(frame: pl.DataFrame) -> list[float | None]:
    """(n,) gold_weight; None where the draw was uniform."""
    if "gold_weight" not in frame.columns:
        return [None] * frame.height
    weights: list[float | None] = frame["gold_weight"].to_list()
    return weights


def _counts(stated: list[str | None], source: str) -> list[int]:
    """(n,) number of annotators of each row."""
    counts = pl.Series(stated, dtype=pl.String).cast(pl.Float64, strict=False)
    ok = counts.is_between(1, MOST_LABELS) & (counts == counts.floor())
    wrong = (~ok.fill_null(value=False)).arg_true()
    if len(wrong):
        i = int(wrong[0])
        raise TruewardError(
            f"`labels` is the number of annotators of a response, from 1 to {MOST_LABELS}, but row {i + 1} "
            f"of {source} has {stated[i]!r}: write 1 or 2"
        )
    return [int(v) for v in counts]
