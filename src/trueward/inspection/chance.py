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
    n_k (1 - r) are 5 or more. With weights, rates are weighted and n_k is the weight of the level over the
    design effect sum w^2 (o - r)^2 / (r (1 - r) sum w) of the whole table (Rao and Scott 1984).

    Parameters
    ----------
    table : polars.DataFrame
        One row a level, with the columns ``level`` (text) and those of `counts`.

    Returns
    -------
    RateComparison or None
        None where fewer than two levels have enough rows, or all rates are 0 or 1.

    """
    if table.is_empty():
        return None
    weighted = "weight" in table.columns
    if not weighted:
        table = table.with_columns(weight="rows", weight_of_hits="hits")
    total, hits = float(table["weight"].sum()), float(table["weight_of_hits"].sum())
    r = hits / total
    if not 0 < r < 1:
        return None
    design = 1.0  # variance of the rate over that of as many rows of weight 1
    if weighted:
        square, of_hits = float(table["square"].sum()), float(table["square_of_hits"].sum())
        design = ((1 - r) ** 2 * of_hits + r**2 * (square - of_hits)) / (total * r * (1 - r))
    size = pl.col("weight") / design
    compared = table.filter(size * r >= FEW, size * (1 - r) >= FEW)
    if compared.height < 2:
        return None
    rate = float(compared["weight_of_hits"].sum()) / float(compared["weight"].sum())
    compared = compared.with_columns(
        (pl.col("weight_of_hits") / pl.col("weight")).alias("rate")
    ).sort("rate", "level")
    if not 0 < rate < 1:
        return None
    statistic = float((compared["weight"] * (compared["rate"] - rate) ** 2).sum()) / (
        design * rate * (1 - rate)
    )
    first, last = compared.row(0, named=True), compared.row(-1, named=True)
    return RateComparison(
        levels=compared.height,
        lowest=(first["level"], first["rate"]),
        highest=(last["level"], last["rate"]),
        p=float(chdtrc(compared.height - 1, statistic)),
    )


def counts(hit: pl.Expr, *, weighted: bool) -> list[pl.Expr]:
    """Return the aggregations that `compare_rates` reads: rows and hits, and with weights their sums.

    Parameters
    ----------
    hit : polars.Expr
        Whether a row is a hit.
    weighted : bool
        Whether rows count by their column ``weight``.

    Returns
    -------
    list of polars.Expr
        ``rows``, ``hits``; with weights also ``weight``, ``weight_of_hits``, ``square`` (the sum of squared
        weights) and ``square_of_hits``.

    """
    plain = [pl.len().alias("rows"), hit.sum().alias("hits")]
    if not weighted:
        return plain
    w = pl.col("weight")
    sums = {"weight": w, "weight_of_hits": w * hit, "square": w**2, "square_of_hits": w**2 * hit}
    return plain + [v.sum().alias(name) for name, v in sums.items()]


def weighted_share(hit: pl.Series, weight: pl.Series) -> dict[str, Any]:
    """Compute a weighted share and its 95 % Jeffreys interval at the effective number of rows.

    With v the share, the effective number is v (1 - v) (sum w)^2 / sum w^2 (hit - v)^2, and (sum w)^2 /
    sum w^2 where v is 0 or 1. Equal weights give `share_with_interval`.

    Parameters
    ----------
    hit : polars.Series of bool, length n
        Rows with the property.
    weight : polars.Series of float, length n
        Weights; rows of weight 0 do not count.

    Returns
    -------
    dict
        ``value``, ``low``, ``high`` and ``rows``, the number of rows of positive weight.

    """
    rows = int((weight > 0).sum())
    if not rows:
        return share_with_interval(0, 0)
    w, h = weight.cast(pl.Float64), hit.cast(pl.Float64)
    total = float(w.sum())
    v = float((w * h).sum()) / total
    spread = float((w**2 * (h - v) ** 2).sum())
    size = v * (1 - v) * total**2 / spread if spread else total**2 / float((w**2).sum())
    a, b = v * size + 0.5, (1 - v) * size + 0.5
    return {
        "value": v,
        "low": 0.0 if v == 0 else float(betaincinv(a, b, 0.025)),
        "high": 1.0 if v == 1 else float(betaincinv(a, b, 0.975)),
        "rows": rows,
    }


def quantile_bucket(column: str, count: int, weight: str | None = None) -> pl.Expr:
    """Return the number, 0 to ``count`` - 1, of the quantile that each value falls in.

    Equal values fall into the same quantile. With weights the quantiles hold equal weights.

    Parameters
    ----------
    column : str
        Column of numbers.
    count : int
        Number of quantiles, such as 10 for tenths of the rows.
    weight : str, optional
        Column of the weights.

    """
    if weight is not None:
        order, w = pl.col(column), pl.col(weight)
        upto = w.sort_by(column).cum_sum().gather(order.rank("max").cast(pl.Int64) - 1)
        below = upto - w.sum().over(column)
        return (below * count / w.sum() + 1e-9).floor().cast(pl.Int64).clip(0, count - 1)
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
