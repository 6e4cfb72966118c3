"""Responses with their scores and the ids that their product knows them by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError, UsageError
from trueward.data.log_columns import require_texts
from trueward.data.readers import (
    match_columns,
    read_table,
    typed_frame,
    wanted_columns,
    without_gaps,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import polars as pl

    from trueward.model.scores import Scores

COLUMNS = ("prompt", "response", "prompt_id", "time", "response_id", "trace_id")


@dataclass(frozen=True)
class ScoredResponse:
    """One response with its scores.

    Attributes
    ----------
    id : str
        Id in the product, without the name of the product.
    trace : str or None
        Id of its trace, where the log has it.
    time : str or None
        When it was shown, ISO 8601 in UTC.
    values : dict of str to float
        Name of a score -> value: ``reward`` and ``preferred``, or ``low`` and ``high`` of a model that
        identifies only an interval.
    about : dict of str to str, float or bool
        The interval, whether it is out of distribution, method and digest of the model.
    digest : str
        Digest of the model.

    """

    id: str
    trace: str | None
    time: str | None
    values: dict[str, float]
    about: dict[str, str | float | bool]
    digest: str

    def score_id(self, name: str) -> str:
        """Return the id of a score: the same for the same response, model and name.

        Parameters
        ----------
        name : str
            Name of the score.

        """
        parts = f"{self.digest}\0{self.id}\0{name}"
        return f"trueward-{hashlib.sha256(parts.encode(errors='replace')).hexdigest()[:32]}"


def read_responses(
    source: str | os.PathLike[str] | object, mapping: Mapping[str, str], split: str | None
) -> pl.DataFrame:
    """Read texts and ids of a log.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`.
    mapping : mapping of str to str
        Canonical name -> column of the source, such as ``{"response_id": "span"}``.
    split : str or None
        Which split of a folder to read.

    Returns
    -------
    polars.DataFrame
        With ``prompt``, ``response`` and ``response_id``; ``trace_id`` and ``time`` where they are known.

    Raises
    ------
    UsageError
        If the log has no ids.

    """
    wanted = wanted_columns(COLUMNS, (), mapping)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    require_texts(table, names)
    table, _ = without_gaps(table, [names["prompt"], names["response"]])
    frame = typed_frame(table, names)
    if "response_id" not in frame.columns:
        raise UsageError(
            f"{table.source} has no `response_id`, by which the product knows its responses: push the log "
            "that `trueward import` wrote, or write --map response_id=NAME"
        )
    return frame


def with_ids(frame: pl.DataFrame, product: str, source: str) -> tuple[pl.DataFrame, int, int]:
    """Return the rows that have an id, each response once, with the ids as the product writes them.

    Parameters
    ----------
    frame : polars.DataFrame
        Result of `read_responses`.
    product : str
        Name of the product; ids of an import begin with it and a colon.
    source : str
        Name of the log, for errors.

    Returns
    -------
    frame : polars.DataFrame
        The rows.
    without, repeated : int
        Rows without an id, and further rows of the same id.

    Raises
    ------
    TruewardError
        If the ids are those of another product, or there are none.

    """
    known = frame.drop_nulls("response_id")
    ids = known["response_id"]
    others = ids.filter(
        ids.str.contains(r"^[a-z][a-z0-9_]*:") & ~ids.str.starts_with(f"{product}:")
    )
    if len(others):
        name = others[0].partition(":")[0]
        raise TruewardError(
            f"{len(others):,} ids of {source} begin with {name}: and not with {product}: push the log to the "
            "product that it was imported from, or map the column with that product's ids"
        )
    plain = known.with_columns(ids.str.strip_prefix(f"{product}:"))
    once = plain.unique("response_id", keep="first", maintain_order=True)
    if not len(once):
        raise TruewardError(f"no row of {source} has a response_id: there is nothing to push")
    return once, len(frame) - len(known), len(known) - len(once)


def scored_responses(
    frame: pl.DataFrame, scores: Scores, digest: str, method: str
) -> list[ScoredResponse]:
    """Combine ids and scores.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of `with_ids`.
    scores : Scores
        Scores of these rows.
    digest, method : str
        Digest and method of the model.

    Returns
    -------
    list of ScoredResponse
        In the order of the rows.

    """
    columns = {k: v.tolist() for k, v in scores.columns().items() if k not in ("far", "spread")}
    named = ("reward", "preferred") if "preferred" in columns else ("low", "high")
    trace = frame["trace_id"].to_list() if "trace_id" in frame.columns else [None] * len(frame)
    times = [None] * len(frame)
    if "time" in frame.columns:
        shown = frame["time"].dt.replace_time_zone(None).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        times = shown.to_list()
    found = []
    for i, name in enumerate(frame["response_id"].to_list()):
        row = {k: v[i] for k, v in columns.items()}
        values = {k: float(row.pop(k)) for k in named}
        about = {**row, "method": method, "model_digest": digest}
        found.append(ScoredResponse(name, trace[i], times[i], values, about, digest))
    return found
