"""The response that each signal is about: by its id, by its span, by its trace.

A signal about a span or trace goes down the links to the last answer below it; one about a step without an
answer below, to the nearest answer above or beside it. One about a trace with several answers, such as a
whole conversation, is about the last that was shown before it. One about a call that was not shown counts
only if what was shown has its text; else it is about a text that nobody saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from .schema import PLACE
from .traces import ORDER, spans_above

JUDGED = "a judgement of a model about a step that users were not shown"
IS_JUDGE = pl.col("source") == "judge"


@dataclass
class Joined:
    """Signals with their responses, and the others.

    Attributes
    ----------
    events : DataFrame
        Staged events whose ``response_id`` is among the responses.
    rejected : DataFrame
        Columns ``REJECTED``.
    skipped : dict of str to int
        Number of judgements about steps, by reason.
    moved : bool
        Whether any signal named something else than its response.

    """

    events: pl.DataFrame
    rejected: pl.DataFrame
    skipped: dict[str, int]
    moved: bool


def join_responses(events: pl.DataFrame, responses: pl.DataFrame, spans: pl.DataFrame) -> Joined:
    """Assign each event its response; reject events without one.

    Parameters
    ----------
    events : DataFrame
        Staged events.
    responses : DataFrame
        ``response_id``, ``shown_at``, ``group`` and ``alias`` of the responses that an event may name.
    spans : DataFrame
        Spans of traces, as in `Traces`.

    Returns
    -------
    Joined
        The events with a response, and the account of the others.

    """
    events = events.with_row_index("event")
    is_direct = pl.col("response_id").is_in(responses["response_id"].implode())
    direct, others = events.filter(is_direct), events.filter(~is_direct.fill_null(value=False))
    if not others.height:
        return Joined(direct.drop("event"), _reasons(others, spans), {}, moved=False)
    found = _targets(others, responses, spans)
    moved = others.join(found, on="event").with_columns(pl.col("target").alias("response_id"))
    moved = moved.drop("target")
    lost = others.join(found, on="event", how="anti")
    known = pl.concat([spans["response_id"], spans["group"].drop_nulls()]).unique().implode()
    is_step = IS_JUDGE & (pl.col("response_id").is_in(known) | pl.col("group").is_in(known))
    is_step = is_step.fill_null(value=False)
    judged = lost.filter(is_step).height
    joined = pl.concat([direct, moved]).sort("event").drop("event")
    rejected = _reasons(lost.filter(~is_step), spans)
    return Joined(joined, rejected, {JUDGED: judged} if judged else {}, moved=bool(moved.height))


def _targets(events: pl.DataFrame, responses: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return ``event`` and ``target`` of the events whose response is found."""
    of_alias = _last(responses.drop_nulls("alias"), "alias")
    of_group = _last(responses.drop_nulls("group"), "group")
    is_span = pl.col("response_id").is_in(spans["response_id"].implode()).fill_null(value=False)
    asked = spans.join(events.drop_nulls("response_id"), on="response_id", how="semi")
    near = spans.join(asked, on="group", how="semi")
    answers = near.join(responses.select("response_id", "shown_at"), on="response_id")
    below = _below(near, answers)
    rounds = (
        (pl.lit(value=True), of_alias.select(group="alias", target="response_id"), "group"),
        (is_span, below, "response_id"),
        (is_span, _same_text(asked, answers), "response_id"),
        (is_span & ~IS_JUDGE, _nearest(near, asked, answers, below), "response_id"),
        (~is_span, _shown_before(events, responses), "event"),
        (~is_span, of_group.select("group", target="response_id"), "group"),
    )
    found = []
    for applies, targets, key in rounds:
        hits = events.filter(applies).join(targets, on=key).select("event", "target")
        events = events.join(hits, on="event", how="anti")
        found.append(hits)
    return pl.concat(found)


def _shown_before(events: pl.DataFrame, responses: pl.DataFrame) -> pl.DataFrame:
    """Return the last answer before each event, for traces that have several."""
    answers = responses.drop_nulls(["group", "shown_at"]).filter(pl.len().over("group") > 1)
    answers = answers.select("group", "shown_at", target="response_id")
    timed = events.drop_nulls(["group", "at"]).select("event", "group", "at")
    found = timed.sort("at").join_asof(
        answers.sort("shown_at", "target"),
        left_on="at",
        right_on="shown_at",
        by="group",
        check_sortedness=False,
    )
    return found.drop_nulls("target").select("event", "target")


def _below(spans: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return the last answer below each span."""
    above = spans_above(spans, answers).filter(pl.col("step") > 0)
    above = above.join(answers.select("response_id", "shown_at"), on="response_id")
    return _last(above, "above").select(response_id="above", target="response_id")


def _same_text(asked: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Return for each call that was not shown the answer of its trace with its text, or the one around it."""
    is_call = pl.col("precedence").is_in(["call", "named", "hidden"]) & (pl.col("text") != "")
    calls = asked.filter(is_call)
    shown = answers.select("group", "shown_at", "text", target="response_id")
    same = calls.join(shown, on=["group", "text"]).sort("shown_at", "target")
    same = same.unique("response_id", keep="last", maintain_order=True)
    alone = shown.filter(pl.len().over("group") == 1).rename({"text": "shown"})
    pairs = calls.join(same, on="response_id", how="anti").join(alone, on="group")
    is_part = pl.col("shown").str.contains(pl.col("text"), literal=True)
    is_part = is_part | pl.col("text").str.contains(pl.col("shown"), literal=True)
    parts = pairs.filter(is_part)
    return pl.concat([found.select("response_id", "target") for found in (same, parts)])


def _nearest(
    spans: pl.DataFrame, asked: pl.DataFrame, answers: pl.DataFrame, below: pl.DataFrame
) -> pl.DataFrame:
    """Return for each step without an answer below it the answer above or beside it."""
    steps = asked.filter(pl.col("precedence").is_in(["fallback", "owner"]))
    itself = answers.select(pl.col("response_id").alias("above"), target="response_id")
    targets = pl.concat([itself, below.select(pl.col("response_id").alias("above"), "target")])
    above = spans_above(spans, steps).join(targets.unique("above", keep="first"), on="above")
    nearest = above.sort("step", "target").unique("response_id", keep="first", maintain_order=True)
    return nearest.select("response_id", "target")


def _last(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    return rows.sort(ORDER).unique(by, keep="last", maintain_order=True)


def _reasons(lost: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return file, line and reason of each event without a response."""
    name = pl.coalesce("response_id", "group", pl.lit("?"))
    known = pl.concat([spans["response_id"], spans["group"].drop_nulls()]).unique().implode()
    unseen = pl.lit(" is a call or a span without an answer that users were shown")
    missing = pl.when(name.is_in(known)).then(unseen)
    missing_or_unseen = missing.otherwise(pl.lit(" is not among the responses"))
    without = pl.lit(" without its response: ")
    is_ask = pl.col("channel").is_in(["asked", "seen", "ask_level"])
    what = pl.when(is_ask).then(pl.lit("question to a user")).otherwise("channel")
    reason = pl.concat_str(pl.lit("a "), what, without, name, missing_or_unseen)
    return lost.select(*PLACE, reason.alias("reason"))
