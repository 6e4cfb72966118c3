"""Files of public benchmarks of reward models, as they are published."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl

from trueward.core.errors import TruewardError, UsageError
from trueward.core.suggest import suggestion
from trueward.data.readers import match_columns, missing_columns_error, read_table, wanted_columns
from trueward.data.readers.messages import Malformed, flatten, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from trueward.data.readers.cell_types import Place

#: Benchmarks whose files can be read.
PreferenceBenchmark = Literal["rewardbench2", "rewardbench", "rm-bench", "judgebench"]

#: Columns that the file of a benchmark has.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "rewardbench2": (
        *("id", "prompt", "chosen", "rejected"),
        *("num_correct", "total_completions", "subset"),
    ),
    "rm-bench": ("id", "prompt", "chosen", "rejected", "domain"),
    "rewardbench": ("id", "prompt", "chosen", "rejected", "subset"),
    "judgebench": ("pair_id", "source", "question", "response_A", "response_B", "label"),
}
TIES = re.compile(r"(ref|tied):(\d+)")
STYLES = (
    3  # responses of either kind to a prompt of RM-Bench: concise, detailed, detailed in markdown
)


@dataclass
class Comparisons:
    """Prompts, each with chosen and rejected responses.

    Attributes
    ----------
    source : str
        Path of the file.
    place : Place
        Names a row in errors.
    ids : list of str
        Id of every row, unique within its part.
    parts : list of str
        Subset, domain or source of every row.
    prompts : list of str
        The prompts; of messages the text that a log would have.
    chosen, rejected : list of list of str
        Responses of every row, at least one of each.
    second_chosen : list of bool
        JudgeBench: the response B is the right one.

    """

    source: str
    place: Place
    ids: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    chosen: list[list[str]] = field(default_factory=list)
    rejected: list[list[str]] = field(default_factory=list)
    second_chosen: list[bool] = field(default_factory=list)


def read_comparisons(
    source: str | os.PathLike[str] | object,
    benchmark: PreferenceBenchmark,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
) -> Comparisons:
    """Read the file of a benchmark.

    Parameters
    ----------
    source : str, Path or table
        As for `read_log`: JSON lines, a JSON array, Parquet and others, or a table in memory.
    benchmark : {"rewardbench2", "rewardbench", "rm-bench", "judgebench"}
        The layout; see `LAYOUTS`.
    mapping : mapping of str to str or None
        Column of the layout -> column of the source.
    split : str or None
        Which split of a folder to read.

    Returns
    -------
    Comparisons
        One row per row of the source.

    Raises
    ------
    TruewardError
        If the file is of another benchmark, lacks a column, repeats an id, or has a row with other
        numbers of responses than the benchmark.
    UsageError
        If there is no such benchmark, or the mapping is wrong.

    """
    if benchmark not in get_args(PreferenceBenchmark):
        raise UsageError(f"there is no benchmark {benchmark!r}: {suggestion(benchmark, LAYOUTS)}")
    needed = LAYOUTS[benchmark]
    wanted = wanted_columns(needed, (), mapping)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    _require_layout(benchmark, {*names, *table.names}, table.source)
    if missing := [name for name in needed if name not in names]:
        raise missing_columns_error(table.source, missing, table.names)
    columns = [table.columns[names[name]] for name in needed]
    cells = [c.to_list() if isinstance(c, pl.Series) else c for c in columns]
    found = Comparisons(table.source, table.place)
    add = _add_judgebench if benchmark == "judgebench" else _add_chosen_and_rejected
    for i, row in enumerate(zip(*cells, strict=True)):
        try:
            add(found, dict(zip(needed, row, strict=True)), benchmark)
        except Malformed as e:
            raise TruewardError(f"{table.place(i)} {e}") from None
    _refuse_repeated_ids(found)
    return found


def _require_layout(benchmark: str, names: set[str], source: str) -> None:
    """Refuse a file whose columns are those of another benchmark."""
    fits = [other for other, columns in LAYOUTS.items() if names.issuperset(columns)]
    nested = benchmark == "rewardbench" and "rewardbench2" in fits
    if not fits or (benchmark in fits and not nested):
        return
    raise TruewardError(
        f"{source} has the columns of {fits[0]}, not of {benchmark}: use --as {fits[0]}"
    )


def _add_chosen_and_rejected(found: Comparisons, row: dict[str, object], benchmark: str) -> None:
    part = _word(row["domain" if benchmark == "rm-bench" else "subset"], "subset or domain")
    key = _word(row["id"], "id")
    several = benchmark != "rewardbench"
    chosen = _responses(row["chosen"], "chosen", several=several)
    rejected = _responses(row["rejected"], "rejected", several=several)
    sizes = f"{len(chosen)} chosen and {len(rejected)} rejected responses"
    if benchmark == "rm-bench" and not len(chosen) == len(rejected) == STYLES:
        raise Malformed(f"has {sizes}, and RM-Bench has {STYLES} and {STYLES}: repair that row")
    if benchmark == "rewardbench2":
        right, total = row["num_correct"], row["total_completions"]
        if (right, total) != (len(chosen), len(chosen) + len(rejected)):
            raise Malformed(
                f"has {sizes}, but num_correct is {shown(right)} and total_completions "
                f"{shown(total)}: repair that row"
            )
        _require_kind_of_ties(part, key, len(chosen))
    found.ids.append(key)
    found.parts.append(part)
    found.prompts.append(_text(row["prompt"], "prompt", "user"))
    found.chosen.append(chosen)
    found.rejected.append(rejected)
    found.second_chosen.append(False)


def _require_kind_of_ties(part: str, key: str, right: int) -> None:
    """Check the id of a row of Ties, and how many responses are right."""
    tied = TIES.fullmatch(key)
    if part.casefold() != "ties":
        if right != 1:
            raise Malformed(
                f"has {right} chosen responses in {part}, and RewardBench 2 has one outside of Ties: "
                "repair that row"
            )
    elif tied is None:
        raise Malformed(f"has the id {key!r} in Ties, not ref:N or tied:N: repair that row")
    elif tied[1] == "tied" and right < 2:
        raise Malformed(f"has one chosen response under the id {key!r}, not two or more: repair it")


def _add_judgebench(found: Comparisons, row: dict[str, object], _benchmark: str) -> None:
    label = row["label"]
    if label not in ("A>B", "B>A"):
        raise Malformed(f"has the label {shown(label)}, not 'A>B' or 'B>A': repair that row")
    a, b = (_text(row[f"response_{k}"], f"response_{k}", "assistant") for k in "AB")
    found.ids.append(_word(row["pair_id"], "pair_id"))
    found.parts.append(_word(row["source"], "source"))
    found.prompts.append(_text(row["question"], "question", "user"))
    found.chosen.append([a if label == "A>B" else b])
    found.rejected.append([b if label == "A>B" else a])
    found.second_chosen.append(label == "B>A")


def _responses(value: object, name: str, *, several: bool) -> list[str]:
    """Texts of the responses of one kind: a list of several, or the one."""
    if not several:
        return [_text(value, name, "assistant")]
    if not isinstance(value, list) or not value:
        raise Malformed(f"has {shown(value)} as `{name}`, not a list of responses: repair that row")
    return [_text(response, name, "assistant") for response in value]


def _text(value: object, name: str, speaker: str) -> str:
    try:
        return flatten(value, speaker)
    except Malformed as e:
        raise Malformed(
            f"{e} as `{name}`, not text or a list of {{role, content}} messages: repair that row"
        ) from None


def _word(value: object, name: str) -> str:
    if not isinstance(value, str | int) or value == "":
        raise Malformed(f"has {shown(value)} as its {name}, not text or a number: repair that row")
    return str(value)


def _refuse_repeated_ids(found: Comparisons) -> None:
    first: dict[tuple[str, str], int] = {}
    for i, key in enumerate(zip(found.parts, found.ids, strict=True)):
        if (earlier := first.setdefault(key, i)) != i:
            raise TruewardError(
                f"{found.place(i)} has the id {key[1]!r}, which {found.place(earlier)} has, too, in "
                f"{key[0]}: keep one of them"
            )


def require_parts(found: Comparisons, known: Sequence[str], benchmark: str) -> None:
    """Refuse rows of a part that the benchmark does not have.

    Parameters
    ----------
    found : Comparisons
        The rows.
    known : sequence of str
        Parts of the benchmark, in lower case.
    benchmark : str
        Its name, for the message.

    Raises
    ------
    TruewardError
        About the first such row.

    """
    for i, part in enumerate(found.parts):
        if part.casefold() not in known:
            raise TruewardError(
                f"{found.place(i)} is of {part!r}, which {benchmark} does not have: "
                f"{suggestion(part, known)}"
            )
