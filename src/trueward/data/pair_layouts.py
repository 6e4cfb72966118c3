"""Files of comparisons in the layouts that others publish, as one table of winners and losers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.errors import TruewardError

from .pair_cells import FIRST, TRUE, WINNERS, coded, number
from .readers import match_columns, missing_columns_error, read_table, wanted_columns
from .readers.cell_types import parse_column
from .readers.messages import Malformed, flatten, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .readers.cell_types import Column, Place

#: Layout -> columns that it needs; the first one that a file has is taken.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "ids": ("winner_id", "loser_id"),
    "battles": ("winner", "conversation_a", "conversation_b"),
    "answers": ("prompt", "response_a", "response_b"),
    "numbered": ("prompt", "response_0", "response_1", "better_response_id"),
    "preferences": ("chosen", "rejected"),
    "models": ("model_a", "model_b", "winner"),
}
BATTLES = ("battles", "answers", "models")  # layouts of two sides, the first shown first
#: Columns that any layout may have.
OPTIONAL = (
    *("source", "user_id", "time", "position", "tie", "weight", "gold", "margin", "propensity"),
    *("score_chosen", "score_rejected", "model_chosen", "model_rejected", "model_a", "model_b"),
    *("winner_model_a", "winner_model_b", "winner_tie", "judge", "source_id"),
)
TWO_PROMPTS = "their responses answer two prompts"
TURN = "\n\nAssistant:"  # where an answer begins in a transcript of Human and Assistant


@dataclass
class Comparisons:
    """Comparisons as they were read, one row each.

    Attributes
    ----------
    frame : polars.DataFrame
        ``winner_id`` and ``loser_id``, or ``prompt``, ``chosen`` and ``rejected``, or ``model_chosen`` and
        ``model_rejected`` alone; beside them columns of `OPTIONAL`, null where they are not known.
    source : str
        Path of the file.
    left_out : dict of str to int
        Reason -> rows of the file without a comparison.

    """

    frame: pl.DataFrame
    source: str
    left_out: dict[str, int] = field(default_factory=dict)


def read_comparisons(
    source: str | os.PathLike[str] | object,
    *,
    mapping: Mapping[str, str] | None = None,
    split: str | None = None,
) -> Comparisons:
    """Read comparisons in the first layout of `LAYOUTS` whose columns a file has.

    Parameters
    ----------
    source : str, Path, table or Comparisons
        As for `read_log`; of the folder of an import its ``pairs.parquet``. Comparisons are returned.
    mapping : mapping of str to str or None
        Name of a column of a layout -> column of the source.
    split : str or None
        Which split of a folder to read.

    Returns
    -------
    Comparisons
        One row per comparison, in the order of the source.

    Raises
    ------
    TruewardError
        If the file has no layout, or a cell is wrong; with row and column.
    UsageError
        If the mapping is wrong.

    """
    if isinstance(source, Comparisons):
        return source
    if isinstance(source, str | os.PathLike):
        inside = os.path.join(source, "pairs.parquet")  # noqa: PTH118 - an address stays as it is
        source = inside if os.path.isfile(inside) else source  # noqa: PTH113
    known = dict.fromkeys((*(c for columns in LAYOUTS.values() for c in columns), *OPTIONAL))
    wanted = wanted_columns(tuple(known), (), mapping)
    table = read_table(source, wanted, split)
    names = match_columns(wanted, table.names, table.source)
    kind = next((k for k, needed in LAYOUTS.items() if names.keys() >= set(needed)), None)
    if kind is None:
        needed = [c for c in ("prompt", "chosen", "rejected") if c not in names]
        raise missing_columns_error(table.source, needed, table.names)
    cells, left = {k: table.columns[c] for k, c in names.items()}, dict[str, int]()
    columns = _READERS[kind](cells, table.place, left)
    kept = columns.pop("kept", None)
    more = {
        k: parse_column(cells[k], "time" if k == "time" else k, table.place)
        for k in ("user_id", "time", "source")
        if k in cells
    }
    if kind in BATTLES and "user_id" not in more and "judge" in cells:
        more["user_id"] = parse_column(cells["judge"], "user_id", table.place)
    for k, words in (("tie", TRUE), ("gold", TRUE), ("position", FIRST)):
        if k in cells and k not in columns:
            columns[k] = coded(cells[k], words, k, table.place)
    for k in ("weight", "margin", "propensity"):
        if k in cells and k not in columns:
            columns[k] = number(cells[k], k, table.place)
    if "source" not in more and kind in BATTLES:
        columns["source"] = pl.Series(["battle"]).new_from_index(0, len(columns["tie"]))
    frame = pl.DataFrame([*(s.alias(k) for k, s in columns.items()), *more.values()])
    return Comparisons(frame if kept is None else frame.filter(kept), table.source, left)


def _texts(column: Column) -> list[Any]:
    return column.to_list() if isinstance(column, pl.Series) else list(column)


def _ids(cells: Mapping[str, Column], place: Place, _left: dict[str, int]) -> dict[str, pl.Series]:
    return {
        name: parse_column(cells[name], "user_id", place).alias(name)
        for name in ("winner_id", "loser_id")
    }


def _preferences(
    cells: Mapping[str, Column], place: Place, left: dict[str, int]
) -> dict[str, pl.Series]:
    """Chosen and rejected answers: texts, messages, or transcripts that share their prompt."""
    chosen, rejected = cells["chosen"], cells["rejected"]
    plain = all(isinstance(c, pl.Series) and c.dtype == pl.String for c in (chosen, rejected))
    if plain and "prompt" in cells and _no_nulls(chosen, rejected):
        prompt = parse_column(cells["prompt"], "prompt", place)
        columns = {"prompt": prompt, "chosen": pl.Series(chosen), "rejected": pl.Series(rejected)}
    else:
        sides = zip(_texts(chosen), _texts(rejected), strict=True)
        prompts = _texts(cells["prompt"]) if "prompt" in cells else None
        columns = _split(sides, prompts, place, left)
    if {"score_chosen", "score_rejected"} <= cells.keys() and "margin" not in cells:
        scores = [number(cells[f"score_{k}"], f"score_{k}", place) for k in ("chosen", "rejected")]
        lead = (scores[0] - scores[1]).fill_null(0.0)
        columns["tie"] = (lead == 0).cast(pl.Float64)
        if bool((lead < 0).any()):
            left["the rejected response has the higher score"] = int((lead < 0).sum())
            kept = lead >= 0
            columns["kept"] = columns["kept"] & kept if "kept" in columns else kept
    for side in ("chosen", "rejected"):
        if f"model_{side}" in cells:
            columns[f"model_{side}"] = parse_column(cells[f"model_{side}"], "model", place)
    return columns


def _no_nulls(*columns: Column) -> bool:
    return all(isinstance(c, pl.Series) and not c.null_count() for c in columns)


def _split(
    sides: Any, prompts: Sequence[Any] | None, place: Place, left: dict[str, int]
) -> dict[str, pl.Series]:
    """Split every pair of texts or conversations into the prompt that they share and two answers."""
    rows: list[tuple[str, str, str] | None] = []
    empty = 0
    for i, (a, b) in enumerate(sides):
        texts = (a, b) if prompts is None else (a, b, prompts[i])
        if None in texts:
            rows.append(None)
            empty += 1
            continue
        try:
            rows.append(_shared(a, b) if prompts is None else _with_prompt(prompts[i], a, b))
        except Malformed as e:
            raise TruewardError(f"{place(i)} {e}: repair or drop that row") from None
    kept = [row is not None for row in rows]
    if empty:
        left["a text is missing"] = empty
    if (apart := len(kept) - sum(kept) - empty) > 0:
        left[TWO_PROMPTS] = apart
    names = ("prompt", "chosen", "rejected")
    columns = {
        k: pl.Series(k, [row and row[j] for row in rows], dtype=pl.String)
        for j, k in enumerate(names)
    }
    return columns | ({} if all(kept) else {"kept": pl.Series(kept, dtype=pl.Boolean)})


def _with_prompt(prompt: Any, a: Any, b: Any) -> tuple[str, str, str] | None:
    """Texts of a row with a prompt; conversations that repeat the prompt are cut where they differ."""
    text = flatten(prompt, "user")
    if isinstance(a, list) and isinstance(b, list) and len(a) > 1 and a[:1] == b[:1]:
        shared = _shared(a, b)
        if shared is None:
            return None
        return (text if flatten(a[:1], "user") == text else shared[0], *shared[1:])
    return text, flatten(a, "assistant"), flatten(b, "assistant")


def _shared(a: Any, b: Any) -> tuple[str, str, str] | None:
    """Return the prompt that two conversations share, and the rest of each; None if they share none."""
    if isinstance(a, list) and isinstance(b, list):
        shortest = min(len(a), len(b)) - 1
        same = next((k for k in range(shortest) if a[k] != b[k]), max(0, shortest))
        if not same:
            return None
        return (
            flatten(a[:same], "user"),
            flatten(a[same:], "assistant"),
            flatten(b[same:], "assistant"),
        )
    if not isinstance(a, str) or not isinstance(b, str):
        found = shown(b if isinstance(a, str | list) else a)
        raise Malformed(f"has {found} as an answer, not text or a list of messages")
    prefix = os.path.commonprefix([a, b])  # noqa: RUF071 - of two texts
    cut = prefix.rfind(TURN)
    if cut < 0:
        return None
    end = cut + len(TURN)
    return a[:cut].removeprefix("\n\nHuman:").strip(), a[end:].strip(), b[end:].strip()


def _battles(
    cells: Mapping[str, Column], place: Place, left: dict[str, int]
) -> dict[str, pl.Series]:
    """Battles of two models, with conversations, with answers, or with names alone."""
    won, columns = _outcome(cells, place), dict[str, pl.Series]()
    if "conversation_a" in cells:
        sides = zip(*(_texts(cells[f"conversation_{k}"]) for k in "ab"), strict=True)
        columns = _split(sides, None, place, left)
    elif "response_a" in cells:
        texts = [_texts(cells[f"response_{k}"]) for k in "ab"]
        sides = zip(*texts, strict=True)
        columns = _split(sides, _texts(cells["prompt"]), place, left)
    if {"model_a", "model_b"} <= cells.keys():
        for side, k in (("chosen", "a"), ("rejected", "b")):
            columns[f"model_{side}"] = parse_column(cells[f"model_{k}"], "model", place)
    return _turned(columns, won, left)


def _numbered(
    cells: Mapping[str, Column], place: Place, left: dict[str, int]
) -> dict[str, pl.Series]:
    better = number(cells["better_response_id"], "better_response_id", place)
    sides = zip(*(_texts(cells[f"response_{k}"]) for k in "01"), strict=True)
    return _turned(_split(sides, _texts(cells["prompt"]), place, left), 1 - better, left)


def _turned(
    columns: dict[str, pl.Series], won: pl.Series, left: dict[str, int]
) -> dict[str, pl.Series]:
    """Exchange chosen and rejected where the second side won; the first side is the one shown first."""
    second = (won == 0).fill_null(value=False)
    turned = dict(columns)
    for a, b in (("chosen", "rejected"), ("model_chosen", "model_rejected")):
        if a in columns:
            turned[a] = columns[b].zip_with(second, columns[a])
            turned[b] = columns[a].zip_with(second, columns[b])
    turned["tie"] = (won == 0.5).fill_null(value=False).cast(pl.Float64)
    turned["position"] = 1.0 - 2.0 * second.cast(pl.Float64)
    if won.null_count():
        left["they have no winner"] = won.null_count()
        known = won.is_not_null()
        turned["kept"] = turned["kept"] & known if "kept" in turned else known
    return turned


def _outcome(cells: Mapping[str, Column], place: Place) -> pl.Series:
    """1 where the first side won, 0 where the second did, .5 for a tie, null where nothing is said."""
    if "winner" in cells:
        return coded(cells["winner"], WINNERS, "winner", place)
    if not {"winner_model_a", "winner_model_b"} <= cells.keys():
        raise TruewardError(
            f"{place.source} has response_a and response_b, and no column `winner` that says which was "
            "preferred: map it (--map winner=NAME)"
        )
    a, b = (coded(cells[f"winner_model_{k}"], TRUE, f"winner_model_{k}", place) for k in "ab")
    return ((a - b + 1) / 2).alias("winner")


_READERS = {
    "ids": _ids,
    "battles": _battles,
    "answers": _battles,
    "models": _battles,
    "numbered": _numbered,
    "preferences": _preferences,
}
