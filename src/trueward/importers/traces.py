"""Which model calls of a trace were shown to users.

Many calls in one trace are the normal case (rewriting a question, titles, guardrails, plans of tools). What
users saw is what the trace itself put out: the text of the topmost span above all its calls. A call is a
response if it has that text, or if it is the only one, or if the user names it. The choice never looks at
feedback, so that responses without feedback are chosen as those with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from trueward.core.errors import UsageError

from .schema import PLACE, REJECTED

OWNED = ("user_id", "session_id")  # columns that a trace gives to its answers
OF_SPAN = ("model", "parent_span", "span_name", "alias", "shown_at", *OWNED)  # ... and a span
DECIDES = (
    *("response_id", "unit", "group", "precedence", "parent_span", "span_name", "shown_at", "text"),
)
SPAN = ("response_id", "parent_span", "group", "precedence")
ADDED = ("unit", "text", "stays", "is_known", "is_wrong")
MAX_DEPTH = 100  # spans above a call; more are a circle
MAX_NAMES = 30  # that an error lists
ORDER = ("shown_at", "response_id")
OTHER_TEXT = "a model call that users were not shown: its trace put out another text"
UNKNOWN = (
    "one of several model calls of a trace whose own output is not in the export: name what users saw by "
    "--shown NAME"
)
NOT_NAMED = "a model call that --shown does not name"
REPLACED = "a root run in whose place feedback names one of its model calls"
AROUND = "a trace or span around its answer"
ID = pl.col("response_id")
PRECEDENCE = pl.col("precedence")
IS_CALL = PRECEDENCE == "call"


@dataclass
class Traces:
    """The answers that were shown, and the spans that signals may be about.

    Attributes
    ----------
    answers : DataFrame
        Staged responses that stay.
    spans : DataFrame
        ``response_id``, ``parent_span``, ``group``, ``precedence`` and ``text`` of all rows.
    rejected : DataFrame
        Columns ``REJECTED``: answers that were shown and have no prompt.
    skipped : dict of str to int
        Number of rows that are no response, by reason.
    unknown : dict of str to int
        Names of the calls of traces whose own output is unknown, and how many there are.

    """

    answers: pl.DataFrame
    spans: pl.DataFrame
    rejected: pl.DataFrame
    skipped: dict[str, int]
    unknown: dict[str, int]


def check_shown(frames: list[pl.LazyFrame], shown: tuple[str, ...]) -> None:
    """Raise if a name that users give occurs nowhere in the export.

    Parameters
    ----------
    frames : list of LazyFrame
        Staged responses.
    shown : tuple of str
        Names of the calls or spans whose answers users saw.

    Raises
    ------
    UsageError
        If no call or span has one of the names.

    """
    if not shown:
        return
    parts = [frame.select("span_name").unique().collect()["span_name"] for frame in frames]
    names = sorted({name for part in parts for name in part.drop_nulls()})
    if missing := [name for name in shown if name not in names]:
        known = ", ".join(names[:MAX_NAMES]) or "none at all"
        raise UsageError(
            f"--shown {missing[0]}: no call or span of the export has this name; its names are {known}"
        )


def shown_answers(rows: pl.DataFrame, events: pl.DataFrame, shown: tuple[str, ...]) -> Traces:
    """Decide which rows of traces are responses.

    Parameters
    ----------
    rows : DataFrame
        Staged responses, each id once, and the spans and traces around them.
    events : DataFrame
        Staged events; a row of precedence ``named`` stays only if one names it.
    shown : tuple of str
        Names of the calls or spans whose answers users saw; empty to decide by the text of the trace.

    Returns
    -------
    Traces
        The answers, the spans, and the account of the rest.

    """
    if not shown and rows["precedence"].is_in(["answer", "echo"]).all():
        spans = rows.clear().select(*SPAN, text=pl.lit(""))
        return Traces(rows, spans, pl.DataFrame(schema=REJECTED), {}, {})
    text = pl.col("response").str.replace_all(r"\s+", " ").str.strip_chars().alias("text")
    unit = pl.coalesce("group", "response_id").alias("unit")
    rows = _with_owner(rows).with_columns(text, unit)
    rooted = rows.filter(pl.col("parent_span").is_null())["unit"].unique()
    is_call = (PRECEDENCE == "named") & ~pl.col("unit").is_in(rooted.implode())
    # model runs without their root in the export are calls as any others
    rows = rows.with_columns(
        pl.when(is_call).then(pl.lit("call")).otherwise(PRECEDENCE).alias("precedence")
    )
    slim = rows.select(*DECIDES)  # without the prompts
    if shown:
        chosen, known = _named_by_user(slim, shown), slim["unit"]
    else:
        chosen, known = _by_own_output(slim)
        chosen = pl.concat([chosen, _without_trace(slim, events)])
    # columns first: a list of ids inside `over` would be copied for every trace
    rows = rows.with_columns(
        ID.is_in(chosen.implode()).alias("stays"),
        pl.col("unit").is_in(known.unique().implode()).alias("is_known"),
    )
    is_invalid = pl.col("invalid").is_not_null()
    has_answer = (pl.col("stays") & ~is_invalid).any().over("unit")
    is_needed = pl.col("unshown").is_null() | ~has_answer
    is_wrong = is_invalid & (pl.col("stays") | (is_needed & ~IS_CALL))
    rows = rows.with_columns(is_wrong.alias("is_wrong"))
    lost = rows.filter(~pl.col("stays") & ~pl.col("is_wrong")).select("span_name", _reason(shown))
    names = lost.filter(pl.col("reason") == UNKNOWN)["span_name"].drop_nulls().value_counts()
    names = names.sort("count", "span_name", descending=[True, False])
    return Traces(
        rows.filter(pl.col("stays") & ~pl.col("is_wrong")).drop(*ADDED),
        rows.select(*SPAN, "text"),
        rows.filter("is_wrong").select(*PLACE, reason="invalid"),
        dict(lost["reason"].value_counts().iter_rows()),
        dict(names.iter_rows()),
    )


def _reason(shown: tuple[str, ...]) -> pl.Expr:
    """Return why a row is no response."""
    of_unknown, of_known, of_answer = (
        (NOT_NAMED, NOT_NAMED, NOT_NAMED) if shown else (UNKNOWN, OTHER_TEXT, REPLACED)
    )
    of_call = pl.when("is_known").then(pl.lit(of_known)).otherwise(pl.lit(of_unknown))
    reason = pl.when(IS_CALL).then(of_call).when(PRECEDENCE == "answer").then(pl.lit(of_answer))
    return reason.otherwise(pl.coalesce("unshown", pl.lit(AROUND))).alias("reason")


def _with_owner(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill in what the texts of a span lack from the span itself, and then from its trace."""
    owners = rows.filter(PRECEDENCE == "owner")
    texts = rows.filter(PRECEDENCE != "owner")
    twins = owners.join(texts, on="response_id", how="semi").select("response_id", *OF_SPAN)
    if twins.height:
        texts = texts.join(twins, on="response_id", how="left", suffix="_span")
        filled = [pl.coalesce(name, f"{name}_span").alias(name) for name in OF_SPAN]
        texts = texts.with_columns(filled).drop(f"{name}_span" for name in OF_SPAN)
        owners = owners.join(twins, on="response_id", how="anti")
    rows = pl.concat([texts, owners])
    around = rows.filter(PRECEDENCE.is_in(["fallback", "owner"])).drop_nulls("group")
    about = around.group_by("group").agg(
        *(pl.col(name).drop_nulls().min().alias(f"{name}_trace") for name in OWNED)
    )
    rows = rows.join(about, on="group", how="left")
    filled = [pl.coalesce(name, f"{name}_trace").alias(name) for name in OWNED]
    return rows.with_columns(filled).drop(f"{name}_trace" for name in OWNED)


def _without_trace(rows: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """Return the answers that stay, and the runs that an event names in place of their root."""
    answers = rows.filter(PRECEDENCE.is_in(["answer", "echo"]))
    about = events.select("response_id").drop_nulls().unique()
    runs = rows.filter(PRECEDENCE == "named").join(about, on="response_id", how="semi")
    runs = runs.join(answers, on=["unit", "text"], how="anti")
    is_named = ID.is_in(about["response_id"].implode())
    may_be_replaced = answers.filter(pl.col("group").is_not_null() & ~is_named)
    replaced = may_be_replaced.join(runs, on="unit", how="semi")
    kept = answers.join(replaced, on="response_id", how="anti")
    return pl.concat([kept["response_id"], runs["response_id"]])


def spans_above(rows: pl.DataFrame, starts: pl.DataFrame) -> pl.DataFrame:
    """Return every span above each of some rows, up to its root.

    Parameters
    ----------
    rows : DataFrame
        All spans, with ``response_id`` and ``parent_span``.
    starts : DataFrame
        Those to start at, with ``response_id``.

    Returns
    -------
    DataFrame
        ``response_id``, ``above`` and ``step``: 0 for the row itself.

    """
    links = rows.drop_nulls("parent_span").select(ID.alias("above"), "parent_span")
    level = starts.select("response_id", ID.alias("above"))
    levels = [level.with_columns(step=pl.lit(0))]
    for step in range(1, MAX_DEPTH):
        level = level.join(links, on="above").select("response_id", above="parent_span")
        if not level.height:
            break
        levels.append(level.with_columns(step=pl.lit(step)))
    return pl.concat(levels)


def _last(rows: pl.DataFrame, by: str = "unit") -> pl.DataFrame:
    return rows.sort(ORDER).unique(by, keep="last", maintain_order=True)


def _by_own_output(rows: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Return the ids of what was shown, and the traces of which it is known."""
    texts = rows.filter(IS_CALL).group_by("unit").agg(pl.col("text").n_unique().alias("texts"))
    rows = rows.join(texts, on="unit", how="left").with_columns(pl.col("texts").fill_null(0))
    calls = rows.filter(IS_CALL)
    same = calls.filter(pl.col("texts") == 1)
    several = calls.filter(pl.col("texts") > 1)
    own = _topmost_output(rows.filter(pl.col("texts") > 1), several)
    matching = several.join(own, on="unit").filter(pl.col("text") == pl.col("own_text"))
    other = own.join(matching, on="unit", how="anti").join(
        rows, left_on="own", right_on="response_id"
    )
    other = other.filter(PRECEDENCE == "fallback")
    alone = rows.filter((PRECEDENCE == "fallback") & (pl.col("texts") == 0))
    below = spans_above(alone, alone).filter(pl.col("step") > 0)
    below = below.filter(pl.col("above").is_in(alone["response_id"].implode()))
    alone = alone.join(below, on="response_id", how="anti")
    alone = alone.filter(pl.len().over("unit") == 1)
    chosen = [
        _last(same)["response_id"],
        _last(matching)["response_id"],
        other["own"],
        alone["response_id"],
    ]
    return pl.concat(chosen), pl.concat([same["unit"], own["unit"], alone["unit"]])


def _topmost_output(rows: pl.DataFrame, calls: pl.DataFrame) -> pl.DataFrame:
    """Return the topmost span with a text above all calls of each trace: ``unit``, ``own``, ``own_text``."""
    total = calls.group_by("unit").agg(pl.len().alias("calls"))
    texts = rows.filter(pl.col("text") != "").select(ID.alias("above"), "unit", "text")
    groups = spans_above(rows, calls).join(texts, on="above").group_by("unit", "above", "text")
    covers = groups.agg(ID.n_unique().alias("below"), pl.col("step").sum())
    covers = covers.join(total, on="unit").filter(pl.col("below") == pl.col("calls"))
    covers = covers.sort("step", "above").unique("unit", keep="last", maintain_order=True)
    return covers.select("unit", own="above", own_text="text")


def _named_by_user(rows: pl.DataFrame, shown: tuple[str, ...]) -> pl.Series:
    """Return the ids of calls with a shown name, and of the last answer below each span with one."""
    named = rows.filter(pl.col("span_name").is_in(shown))
    is_span = PRECEDENCE.is_in(["fallback", "owner"])
    direct = named.filter(~is_span)["response_id"]
    spans = named.filter(is_span).select(
        above="response_id", span_text="text", is_fallback=PRECEDENCE == "fallback"
    )
    calls = rows.filter(IS_CALL)
    below = spans_above(rows, calls).join(spans, on="above")
    below = below.join(calls.select("response_id", "shown_at", "text"), on="response_id")
    done = below.filter(ID.is_in(direct.implode()))["above"].unique()
    below = below.filter(~pl.col("above").is_in(done.implode()))
    is_same = pl.col("text") == pl.col("span_text")
    same = below.filter(is_same)
    rest = spans.filter(~pl.col("above").is_in(pl.concat([done, same["above"]]).unique().implode()))
    own = rest.filter("is_fallback")["above"]
    empty = rest.filter(~pl.col("is_fallback"))
    under = below.join(empty, on="above", how="semi")
    return pl.concat(
        [direct, _last(same, "above")["response_id"], own, _last(under, "above")["response_id"]]
    ).unique()
