"""Statistics of shares: Jeffreys intervals and Pearson's chi-square test of equal rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from scipy.special import betaincinv, chdtrc

FEW = 5  # expected count that the chi-square approximation needs in every cell (Cochran 1954)
COMPARISONS = 50  # tests that the threshold is corrected for (Bonferroni)
SIGNIFICANT = 0.05 / COMPARISONS  # a p-value below this is significant


def share_with_interval(hits: int, total: int) -> dict[str, Any]:
    """Compute a share and its 95 % Jeffreys interval.

    The ends are the 2.5 % and 97.5 % quantiles of Beta(1/2 + hits, 1/2 + misses). Following Brown, Cai
    and DasGupta (2001), the lower end is 0 without hits and the upper end is 1 without misses.

    Parameters
    ----------
    hits : int
        Rows with the property.
    total : int
        All rows, with the property or without it.

    Returns
    -------
    dict
        ``value`` (None where ``total`` is 0), ``low``, ``high`` and ``rows``.

    Examples
    --------
    >>> share_with_interval(2, 10)["value"]
    0.2

    """
    a, b = hits + 0.5, total - hits + 0.5
    return {
        "value": hits / total if total else None,
        "low": 0.0 if hits == 0 else float(betaincinv(a, b, 0.025)),
        "high": 1.0 if hits == total else float(betaincinv(a, b, 0.975)),
        "rows": total,
    }


@dataclass(frozen=True)
class RateComparison:
    """Rates of the levels of one column, and the test that they are equal."""

    #: Number of levels compared.
    levels: int
    #: Level with the lowest rate, and that rate.
    lowest: tuple[str, float]
    #: Level with the highest rate, and that rate.
    highest: tuple[str, float]
    #: p-value of Pearson's chi-square test.
    p: float

    @property
    def ratio(self) -> float | None:
        """Highest over lowest rate; None where the lowest is 0."""
        return self.highest[1] / self.lowest[1] if self.lowest[1] else None

    def uneven(self, factor: float) -> bool:
        """Return whether the rates differ significantly and by at least ``factor``."""
        return self.p < SIGNIFICANT and (self.ratio is None or self.ratio >= factor)

    def figures(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "levels": self.levels,
            "lowest": {"level": self.lowest[0], "rate": self.lowest[1]},
            "highest": {"level": self.highest[0], "rate": self.highest[1]},
            "ratio": self.ratio,
            "p": self.p,
        }


def compare_rates(table: pl.DataFrame) -> RateComparison | None:
    """Test whether the rate of hits is the same at every level.

    The statistic is chi^2 = sum_k n_k (r_k - r)^2 / (r (1 - r)), over the levels where n_k r and
    n_k (1 - r) are 5 or more.

    Parameters
    ----------
    table : polars.DataFrame
        One row a level, with the columns ``level`` (text), ``rows`` and ``hits``.

    Returns
    -------
    RateComparison or None
        None where fewer than two levels have enough rows, or all rates are 0 or 1.

    """
    if table.is_empty():
        return None
    r = pl.col("hits").sum() / pl.col("rows").sum()
    compared = table.filter(pl.col("rows") * r >= FEW, pl.col("rows") * (1 - r) >= FEW)
    if compared.height < 2:
        return None
    rate = int(compared["hits"].sum()) / int(compared["rows"].sum())
    compared = compared.with_columns((pl.col("hits") / pl.col("rows")).alias("rate")).sort(
        "rate", "level"
    )
    if not 0 < rate < 1:
        return None
    statistic = float((compared["rows"] * (compared["rate"] - rate) ** 2).sum()) / (
        rate * (1 - rate)
    )
    first, last = compared.row(0, named=True), compared.row(-1, named=True)
    return RateComparison(
        levels=compared.height,
        lowest=(first["level"], first["rate"]),
        highest=(last["level"], last["rate"]),
        p=float(chdtrc(compared.height - 1, statistic)),
    )


def quantile_bucket(column: str, count: int) -> pl.Expr:
    """Return the number, 0 to ``count`` - 1, of the quantile that each value falls in.

    Equal values fall into the same quantile.

    Parameters
    ----------
    column : str
        Column of numbers.
    count : int
        Number of quantiles, such as 10 for tenths of the rows.

    """
    place = pl.col(column).rank("min").cast(pl.Int64) - 1
    return place * count // pl.col(column).count()


def p_value(p: float) -> str:
    """Format a p-value with two digits.

    Parameters
    ----------
    p : float
        The p-value.

    Returns
    -------
    str
        Text such as ``p = 0.012``.

    """
    return "p < 1e-300" if p < 1e-300 else f"p = {p:.2g}"


def significance(p: float) -> str:
    """Format a p-value, and state it where it is not significant.

    Parameters
    ----------
    p : float
        The p-value.

    Returns
    -------
    str
        The formatted p-value, with a note where it is 0.001 or above.

    """
    note = "" if p < SIGNIFICANT else f", not significant after correction for {COMPARISONS} tests"
    return p_value(p) + note
