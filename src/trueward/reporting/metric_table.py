"""A table of the metrics of several models, with the best value of each marked, and a figure of some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.evaluation.plotting import intervals

from .charts import figure
from .page import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trueward.core.estimate import Estimate

    from .inputs import ReportInputs
    from .page import Block

DRAWN = ("auroc", "pair_accuracy", "r2", "brier")

HIGHER = ("auroc", "r2", "accuracy", "pearson", "spearman", "pair_accuracy", "best_of_n_lift")
LOWER = ("brier", "nll", "ece", "mae", "rmse")


def best_cells(
    results: Mapping[str, Mapping[str, Estimate]], names: Sequence[str], left_out: Sequence[str]
) -> frozenset[tuple[int, int]]:
    """Return the cells with the best value of each metric, of a table with a row a metric.

    Parameters
    ----------
    results : mapping of str to mapping of str to Estimate
        Metrics by model, in the order of the columns after the first.
    names : sequence of str
        The metrics, in the order of the rows.
    left_out : sequence of str
        Models that are not compared, such as one that is trained on true labels.

    Returns
    -------
    frozenset of (int, int)
        Row and column of each cell.

    """
    cells = set()
    for row, name in enumerate(names):
        if name in HIGHER or name in LOWER:
            values = [
                None if model in left_out or (e := metrics.get(name)) is None else e.value
                for model, metrics in results.items()
            ]
            cells |= {(row, 1 + i) for i in best_rows(values, name in HIGHER)}
    return frozenset(cells)


def best_rows(values: list[float | None], higher: bool) -> set[int]:
    """Return the rows with the best value, to three digits; none where fewer than two have a value.

    Parameters
    ----------
    values : list of float or None
        One value a row.
    higher : bool
        Whether higher is better.

    Returns
    -------
    set of int
        Row numbers.

    """
    known = {i: round(v if higher else -v, 3) for i, v in enumerate(values) if v is not None}
    if len(known) < 2:
        return set()
    return {i for i, v in known.items() if v == max(known.values())}


def trained_on_truth(inputs: ReportInputs) -> list[str]:
    """Return the models that no log allows, which are not compared with the others.

    Parameters
    ----------
    inputs : ReportInputs
        Models of the report.

    Returns
    -------
    list of str
        Their names.

    """
    return [name for name, m in inputs.models.items() if m.estimator.takes_truth]


def estimates(
    results: Mapping[str, Mapping[str, Estimate]], caption: str, left_out: list[str]
) -> Iterator[Block]:
    """Yield the metrics of several models as a table, and some of them as a figure.

    Parameters
    ----------
    results : mapping of str to mapping of str to Estimate
        Metrics by model.
    caption : str
        Caption of the table.
    left_out : list of str
        Models that are not compared with the others.

    Yields
    ------
    Block
        The table, then the figure.

    """
    names = list(dict.fromkeys(k for metrics in results.values() for k in metrics))
    cells = [[k, *(str(metrics.get(k, "-")) for metrics in results.values())] for k in names]
    best = best_cells(results, names, left_out)
    note = "; a star marks the best value" if best else ""
    note += " of those that a log allows" if best and left_out else ""
    table = Table(caption + note, ["metric", *results], cells, best=best)
    rows = [
        {
            "name": k.replace("_", " "),
            "series": model,
            "value": e.value,
            "low": e.low,
            "high": e.high,
        }
        for k in DRAWN
        for model, metrics in results.items()
        if (e := metrics.get(k)) is not None and e.low is not None and e.value is not None
    ]
    yield table
    if rows:
        yield figure(
            intervals, rows, "value", caption=f"{caption}: some of them, with 95 % intervals"
        )
