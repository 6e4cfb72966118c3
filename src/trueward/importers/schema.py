"""Columns of the responses and events tables, as written and as staged, and operations on their rows."""

from __future__ import annotations

from typing import Any

import polars as pl

from trueward.data.digests import text_id

TIME = pl.Datetime("us", "UTC")
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
PLACE = {"file": pl.String, "line": pl.Int64}  # where a row was read
RESPONSES: dict[str, Any] = {
    "response_id": pl.String,
    "prompt_id": pl.String,
    "prompt": MESSAGES,
    "response": pl.String,
    "user_id": pl.String,
    "session_id": pl.String,
    "shown_at": TIME,
    "model": pl.String,
    "position": pl.Int32,
    "turn": pl.Int32,
    "parent_response_id": pl.String,
    "p_ask": pl.Float64,
}
EVENTS: dict[str, Any] = {
    "response_id": pl.String,
    "at": TIME,
    "channel": pl.String,
    "value": pl.Float64,
    "source": pl.String,
    "event_id": pl.String,
    "actor_id": pl.String,
    "other_response_id": pl.String,
    "text": pl.String,
    "raw": pl.String,
}
# staged rows keep what decides between competing rows, and their place
STAGED_RESPONSES = {
    **RESPONSES,
    "group": pl.String,
    "precedence": pl.String,
    "sibling_group": pl.String,
    "updated_at": TIME,
    "parent_span": pl.String,
    "span_name": pl.String,
    "alias": pl.String,
    "unshown": pl.String,
    "invalid": pl.String,
    **PLACE,
}
STAGED_EVENTS = {
    **EVENTS,
    "group": pl.String,
    "key": pl.String,
    "updated_at": TIME,
    "word": pl.String,
    **PLACE,
}
REJECTED = {**PLACE, "reason": pl.String}
Faults = list[tuple[pl.Expr, pl.Expr]]  # condition of a fault, and its reason


def split_faults(rows: pl.DataFrame, faults: Faults) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate the rows without a fault from the rejected ones.

    Parameters
    ----------
    rows : DataFrame
        Staged rows.
    faults : list of (Expr, Expr)
        Conditions and reasons; the first that holds counts.

    Returns
    -------
    tuple of (DataFrame, DataFrame)
        Valid rows, and rejected ones in the columns ``REJECTED``.

    """
    reason = pl.coalesce([pl.when(condition).then(text) for condition, text in faults])
    marked = rows.with_columns(reason.alias("reason"))
    rejected = marked.filter(pl.col("reason").is_not_null()).select(*PLACE, "reason")
    return marked.filter(pl.col("reason").is_null()).drop("reason"), rejected


def with_prompt_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill missing prompt ids: the first 16 digits of the SHA-256 of the messages as canonical JSON.

    Parameters
    ----------
    rows : DataFrame
        Columns ``prompt_id`` and ``prompt``.

    Returns
    -------
    DataFrame
        The same rows; a row without a prompt keeps a null id.

    """
    missing = rows["prompt_id"].is_null() & rows["prompt"].is_not_null()
    if not missing.any():
        return rows
    ordered = pl.element().struct.field("content"), pl.element().struct.field("role")
    wrapped = pl.struct(pl.col("prompt").list.eval(pl.struct(ordered)).alias("p"))
    texts = rows.filter(missing).select(wrapped.struct.json_encode()).to_series().to_list()
    inner = slice(len('{"p":'), -1)  # the canonical JSON is the value of {"p": ...}
    ids = [text_id(text[inner]) for text in texts]
    column = pl.Series("prompt_id", ids, pl.String)
    if len(ids) < rows.height:
        column = rows["prompt_id"].scatter(missing.arg_true(), column)
    return rows.with_columns(column)


def messages_as_text(name: str) -> pl.Expr:
    """Return the text of messages: a single user message as it is, else ``role: content`` lines.

    Parameters
    ----------
    name : str
        A column of type ``MESSAGES``.

    Returns
    -------
    Expr
        A String column of the same name.

    """
    messages = pl.col(name)
    content = pl.element().struct.field("content")
    line = pl.concat_str(pl.element().struct.field("role"), pl.lit(": "), content)
    lines = messages.list.eval(line).list.join("\n")
    first = messages.list.first()
    is_single = (messages.list.len() == 1) & (first.struct.field("role") == "user")
    return pl.when(is_single).then(first.struct.field("content")).otherwise(lines).alias(name)
