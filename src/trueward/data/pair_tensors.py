"""The comparisons of a log as tensors, with the differences in style of their responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import torch

from .comparisons import Pairs
from .log_pairs import DEFAULTS

if TYPE_CHECKING:
    from torch import Tensor

    from .log_pairs import LogPairs

#: Headers, items of lists, and bold words of markdown.
MARKDOWN = r"(?m)^ {0,3}#{1,6}\s|^\s*(?:[-*+]|\d+[.)])\s|\*\*[^*\n]+\*\*"
STYLES = ("length", "markdown")


def pair_tensors(pairs: LogPairs, log: pl.DataFrame | None = None) -> Pairs:
    """Return the pairs as tensors.

    Parameters
    ----------
    pairs : LogPairs
        Comparisons of rows of the log.
    log : polars.DataFrame, optional
        The rows of the log: the pairs then have the differences in style, in length (log of 1 + the
        characters) and in elements of markdown (log of 1 + their number).

    """
    frame = pairs.frame
    sources = tuple(sorted(frame["source"].unique()))
    codes = frame["source"].replace_strict(
        pl.Series(sources), pl.Series(range(len(sources)), dtype=pl.Int64)
    )
    winner, loser = (frame[k].cast(pl.Int64).to_torch() for k in ("winner", "loser"))
    more: dict[str, Tensor] = {k: frame[k].cast(pl.Float32).to_torch() for k in DEFAULTS}
    styles: tuple[str, ...] = ()
    if log is not None:
        assert len(log) == pairs.rows, (len(log), pairs.rows)
        own = style(log["response"])
        more["style"], styles = own[winner] - own[loser], STYLES
    users = frame["user_id"]
    if users.null_count() < len(users):
        known = users.drop_nulls().unique().sort()
        numbers = pl.Series(range(len(known)), dtype=pl.Int64)
        code = users.replace_strict(known, numbers, default=None, return_dtype=pl.Int64)
        more["user"] = code.fill_null(-users.is_null().cast(pl.Int64).cum_sum()).to_torch()
    more["source"] = codes.to_torch()
    return Pairs.of(winner, loser, sources=sources, styles=styles, **more)


def style(responses: pl.Series) -> Tensor:
    """Return (n, 2) the style of responses: log(1 + characters), log(1 + elements of markdown)."""
    counts = (responses.str.len_chars(), responses.str.count_matches(MARKDOWN))
    return torch.stack([c.cast(pl.Float64).log1p().cast(pl.Float32).to_torch() for c in counts], 1)
