"""Staged rows to the responses and events tables: checked, without copies, events joined to responses.

Every choice depends on the content of rows and not on their order, so that shuffled files give the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import polars as pl

from .channels import CHANNELS, NO_FEEDBACK
from .comparisons import compared_ids, preference_pairs
from .contract import Actor
from .deduplicate import regenerate_events, unique_responses
from .schema import EVENTS, PLACE, REJECTED, STAGED_EVENTS, STAGED_RESPONSES, split_faults
from .scratch import Scratch
from .targets import join_responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from .names import UserMapping
    from .schema import Faults
    from .sorted_ranges import Progress, SortedRanges
    from .staging import StagedRows

ACTORS = get_args(Actor)
EVENT_ORDER = ("response_id", "at", "channel")


@dataclass
class Tables:
    """The tables of an import, sorted, and the account of all rows.

    Attributes
    ----------
    ranges : SortedRanges
        The responses table.
    shown_at : DataFrame
        Columns ``response_id`` and ``shown_at`` of every response with an event, and of some others.
    events : DataFrame
        The events table.
    rejected : DataFrame
        File, line and reason of every rejected row.
    skipped : dict of str to int
        Number of valid records without a row, by reason.
    read : dict of str to int
        Number of records by kind.
    duplicates : dict of str to int
        Number of copies that were dropped, of ``responses`` and of ``events``.
    events_without_response : int
        Number of events whose response is not in the export.
    channels : dict of str to int
        Number of events by channel.
    unknown_calls : dict of str to int
        Names of model calls of which it is unknown whether they were shown, and their number.

    """

    ranges: SortedRanges
    shown_at: pl.DataFrame
    events: pl.DataFrame
    rejected: pl.DataFrame
    skipped: dict[str, int]
    read: dict[str, int]
    duplicates: dict[str, int] = field(default_factory=dict)
    events_without_response: int = 0
    channels: dict[str, int] = field(default_factory=dict)
    unknown_calls: dict[str, int] = field(default_factory=dict)

    @property
    def responses(self) -> pl.DataFrame:
        """The whole responses table in memory."""
        return pl.concat([self.ranges.range(k) for k in range(len(self.ranges))])

    @property
    def comparisons(self) -> pl.DataFrame:
        """One row per comparison of two responses, see `preference_pairs`."""
        return preference_pairs(self.events, self.positions(compared_ids(self.events)))

    def positions(self, ids: pl.DataFrame) -> pl.DataFrame:
        """Return ``response_id`` and ``position`` of the responses whose ids are in a table."""
        none = pl.DataFrame(schema={"response_id": pl.String, "position": pl.Int32})
        if not ids.height:
            return none
        rows = (self.ranges.range(k).select(*none.columns) for k in range(len(self.ranges)))
        return pl.concat([none, *(r.join(ids, on="response_id", how="semi") for r in rows)])


def merge_rows(
    staged: StagedRows,
    protect: Callable[[pl.DataFrame], pl.DataFrame],
    progress: Progress,
    mapping: UserMapping,
) -> Tables:
    """Check, de-duplicate and join the staged rows.

    Parameters
    ----------
    staged : StagedRows
        All rows of the import.
    protect : callable
        Applied to every row before it is stored: ids of people are hashed, texts redacted.
    progress : callable
        Called as ``progress(step, rows, total)``.
    mapping : UserMapping
        Names of the calls that users saw, and the values of thumbs: where they are -1, 0 and 1, 0 is none.

    Returns
    -------
    Tables
        The tables and the account.

    """
    frames = _with_equal_types(staged.events, STAGED_EVENTS)
    found = pl.concat(frames, how="diagonal_relaxed").collect()
    given, neutral = _without_neutral_zeros(found, mapping)
    events, rejected_events = split_faults(given, _event_faults())
    events, event_copies = _latest_events(events)
    parts = _with_equal_types(staged.responses, STAGED_RESPONSES)
    scratch = Scratch(staged.scratch.parent)
    unique = unique_responses(parts, _response_faults(), events, protect, scratch, progress)
    traces = unique.add_related(events, mapping.shown)
    keys = pl.concat(unique.keys)
    events = events.vstack(regenerate_events(traces.answers))
    joined = join_responses(events, keys, traces.spans)
    events = joined.events
    if joined.moved:  # two signals of one key may be about one response now
        has_key = pl.col("key").is_not_null()
        group = pl.when(~has_key).then("group").alias("group")
        events, more = _latest_events(events.with_columns(group))
        event_copies += more
    rejected = [
        *staged.rejected,
        *unique.rejected,
        traces.rejected,
        rejected_events,
        joined.rejected,
    ]
    skipped = staged.skipped + neutral + Counter(traces.skipped) + Counter(joined.skipped)
    order = [*EVENT_ORDER, *(name for name in EVENTS if name not in EVENT_ORDER)]
    return Tables(
        ranges=unique.ranges,
        shown_at=protect(keys.select("response_id", "shown_at")),
        events=protect(events.select(*EVENTS)).sort(order),
        rejected=pl.concat([pl.DataFrame(schema=REJECTED), *rejected]).sort(*REJECTED),
        skipped=dict(sorted(skipped.items())),
        read=dict(sorted(staged.read.items())),
        duplicates={"responses": unique.copies, "events": event_copies},
        events_without_response=joined.rejected.height,
        channels=_channel_counts(events),
        unknown_calls=traces.unknown,
    )


def _without_neutral_zeros(
    events: pl.DataFrame, mapping: UserMapping
) -> tuple[pl.DataFrame, Counter[str]]:
    """Leave out thumbs of 0 where others are -1, unless the user said what 0 means; count them."""
    if not {"-1", "0"} <= mapping.words_seen.keys() or mapping.words.declared("0") is not None:
        return events, Counter()
    is_neutral = (pl.col("word") == "0").fill_null(value=False)
    kept = events.filter(~is_neutral)
    return kept, +Counter({NO_FEEDBACK: events.height - kept.height})


def _channel_counts(events: pl.DataFrame) -> dict[str, int]:
    """Count the events by channel; an implicit one of value 0 says that it did not happen."""
    implicit = [name for name, channel in CHANNELS.items() if channel.kind == "implicit"]
    happened = events.filter(~pl.col("channel").is_in(implicit) | (pl.col("value") > 0))
    return dict(sorted(happened["channel"].value_counts().iter_rows()))


def _with_equal_types(frames: list[pl.LazyFrame], schema: dict[str, Any]) -> list[pl.LazyFrame]:
    """Cast a context column to text if it is a number in one frame and text in another."""
    empty = pl.LazyFrame(schema=schema)
    schemas = [frame.collect_schema() for frame in frames]
    types: dict[str, set[str]] = {}
    for columns in schemas:
        for name, dtype in columns.items():
            if name.startswith("context.") and dtype != pl.Null:
                types.setdefault(name, set()).add("number" if dtype.is_numeric() else str(dtype))
    mixed = {name for name, found in types.items() if len(found) > 1}
    even = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in mixed if name in columns)
        for frame, columns in zip(frames, schemas, strict=True)
    ]
    return [empty, *even]


# Reasons are built by concat_str: format panics if a column has an empty chunk (pola-rs/polars#25339).
def _response_faults() -> Faults:
    has_prompt = pl.col("prompt").list.len().fill_null(0) > 0
    return [
        (pl.col("response_id").is_null(), pl.lit("a response needs a response_id, and has none")),
        (
            ~has_prompt & (pl.col("precedence") != "owner") & pl.col("invalid").is_null(),
            pl.lit("a response needs a prompt, and has none"),
        ),
        (pl.col("response").is_null(), pl.lit("a response needs a text, and has none")),
        (
            ~pl.col("p_ask").is_between(0, 1).fill_null(value=True),
            pl.concat_str(pl.lit("p_ask should be a probability, and is "), "p_ask"),
        ),
    ]


def _event_faults() -> Faults:
    channel, source = (pl.col(name).fill_null("null") for name in ("channel", "source"))
    known = pl.lit(f" is not one of {', '.join(CHANNELS)}")
    actors = pl.lit("the source of an event should be user, annotator or judge, and is ")
    return [
        (
            pl.col("response_id").is_null() & pl.col("group").is_null(),
            pl.lit("an event needs a response_id, and has none"),
        ),
        (
            ~pl.col("channel").is_in(list(CHANNELS)).fill_null(value=False),
            pl.concat_str(pl.lit("the channel "), channel, known),
        ),
        (
            ~pl.col("value").is_finite().fill_null(value=False),
            pl.lit("an event needs a finite value, and has none"),
        ),
        (
            ~pl.col("source").is_in(ACTORS).fill_null(value=False),
            pl.concat_str(actors, source),
        ),
    ]


def _latest_events(events: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Keep the latest event of each key; without a key, one of equal events or of one event id."""
    content = [c for c in STAGED_EVENTS if c not in {"key", "updated_at", "raw", "word", *PLACE}]
    same = [c for c in content if c not in {"event_id", "text"}]
    has_key, has_id = pl.col("key").is_not_null(), pl.col("event_id").is_not_null()
    by_key = pl.struct("response_id", "group", "key").hash()
    by_content = pl.struct(same).hash(2)
    identity = pl.when(has_key).then(by_key).when(has_id).then(pl.col("event_id").hash(1))
    may_repeat = identity.otherwise(by_content).is_duplicated()  # equal hashes may be a collision
    single, several = events.filter(~may_repeat), events.filter(may_repeat)
    content += PLACE  # decides between equal events, so that the order of rows does not
    order = ["updated_at", "at", *(c for c in content if c != "at")]
    keyed = several.filter(has_key).sort(*order, descending=True, nulls_last=True)
    keyed = keyed.unique(["response_id", "group", "key"], keep="first", maintain_order=True)
    unkeyed = several.filter(~has_key).sort(*content, nulls_last=True)
    with_id = unkeyed.filter(has_id).unique("event_id", keep="last", maintain_order=True)
    others = unkeyed.filter(~has_id).unique(same, keep="first", maintain_order=True)
    latest = pl.concat([single, keyed, with_id, others])
    return latest, events.height - latest.height
