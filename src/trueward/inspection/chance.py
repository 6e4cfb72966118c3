"""How far a share may be off, and whether shares differ by more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from scipy import stats

FEW = 5  # expected count that the chi-square approximation needs in every cell (Cochran 1954)
SURE = 1e-3  # a p-value below this is not put down to chance


def share(hits: int, of: int) -> dict[str, Any]:
    """Value and 95 % interval of a share: quantiles of Beta(1/2 + hits, 1/2 + misses) (Jeffreys).

    The interval reaches 0 without hits and 1 without misses, as Brown, Cai and DasGupta (2001) advise.
    """
    posterior = stats.beta(hits + 0.5, of - hits + 0.5)
    return {
        "value": hits / of if of else None,
        "low": 0.0 if hits == 0 else float(posterior.ppf(0.025)),
        "high": 1.0 if hits == of else float(posterior.ppf(0.975)),
        "rows": of,
    }


@dataclass(frozen=True)
class Rates:
    """The share of rows with a property, level by level, and how much it varies."""

    levels: int
    lowest: tuple[str, float]  # level, rate
    highest: tuple[str, float]
    p: float  # of Pearson's chi-square

    @property
    def ratio(self) -> float | None:
        """Highest over lowest rate; None where the lowest is 0."""
        return self.highest[1] / self.lowest[1] if self.lowest[1] else None

    def uneven(self, factor: float) -> bool:
        """Say whether the rates differ by more than chance, and by at least ``factor``."""
        return self.p < SURE and (self.ratio is None or self.ratio >= factor)

    def figures(self) -> dict[str, Any]:
        """Give plain data."""
        return {
            "levels": self.levels,
            "lowest": {"level": self.lowest[0], "rate": self.lowest[1]},
            "highest": {"level": self.highest[0], "rate": self.highest[1]},
            "ratio": self.ratio,
            "p": self.p,
        }


def rates(table: pl.DataFrame) -> Rates | None:
    """Compare the rates of ``table``: level (text), rows, hits; levels with few rows are left out.

    chi^2 = sum_k n_k (r_k - r)^2 / (r (1 - r)) over the levels where n_k r and n_k (1 - r) are 5 or
    more. None if fewer than two are left.
    """
    if table.is_empty():
        return None
    r = pl.col("hits").sum() / pl.col("rows").sum()
    kept = table.filter(pl.col("rows") * r >= FEW, pl.col("rows") * (1 - r) >= FEW)
    if kept.height < 2:
        return None
    rate = int(kept["hits"].sum()) / int(kept["rows"].sum())
    kept = kept.with_columns((pl.col("hits") / pl.col("rows")).alias("rate")).sort("rate", "level")
    if not 0 < rate < 1:
        return None
    statistic = float((kept["rows"] * (kept["rate"] - rate) ** 2).sum()) / (rate * (1 - rate))
    first, last = kept.row(0, named=True), kept.row(-1, named=True)
    return Rates(
        levels=kept.height,
        lowest=(first["level"], first["rate"]),
        highest=(last["level"], last["rate"]),
        p=float(stats.chi2.sf(statistic, kept.height - 1)),
    )


def bucket(column: str, count: int) -> pl.Expr:
    """Number 0 .. count - 1 of the equal share that a value falls in; equal values fall together."""
    place = pl.col(column).rank("min").cast(pl.Int64) - 1
    return place * count // pl.col(column).count()


def p_value(p: float) -> str:
    """Write a p-value with two figures."""
    return "p < 1e-300" if p < 1e-300 else f"p = {p:.2g}"
