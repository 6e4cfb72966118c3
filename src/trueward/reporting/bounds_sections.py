"""Section on what the log says whoever reacts: bounds of quality, and models of the product compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.evaluation.bounds import bounds
from trueward.evaluation.model_balance import compared_column, traffic_columns
from trueward.evaluation.model_comparison import limit_name

from .page import Code, Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .inputs import ReportInputs
    from .page import Block


def whoever_reacts(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the bounds of every model, and the comparison of the models of the product.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        Sentences, a table, and a text for every comparison.

    Raises
    ------
    TruewardError
        If there is no log, or a model cannot read text.

    """
    names = compared_column(inputs.table)
    traffic = None if names is None else traffic_columns(inputs.table)
    results = {
        # the comparison does not depend on the reward model: the first one makes it
        name: bounds(
            model,
            inputs.data(name),
            compare=names if i == 0 else None,
            covariates=traffic if i == 0 else None,
            seed=inputs.seed,
        )
        for i, (name, model) in enumerate(inputs.models.items())
    }
    yield Prose(
        "The odds ratio of reacting, good against bad, may lie between its limit and the inverse, and may "
        "differ between responses. At 1, good and bad responses with the same text and context get feedback "
        "equally often. In the worst case, responses without feedback are all bad or all good. In brackets: "
        "95 % intervals that hold both ends."
    )
    first = next(iter(results.values()))
    head = ["odds ratio", "mean P(good)"]
    head += [
        f"{what}, {name}"
        for name in results
        for what in ("pair accuracy", "certain orders of pairs")
    ]
    rows = []
    for b in first.mean:
        cells = [limit_name(b.gamma), str(b)]
        for result in results.values():
            cells += [
                next((str(v) for v in found if v.gamma == b.gamma), "-")
                for found in (result.pair_accuracy, result.pairs)
            ]
        rows.append(cells)
    yield Table("Bounds for every limit on the odds ratio of reacting", head, rows)
    for comparison in first.comparisons:
        yield Code(str(comparison))
    for note in first.notes:
        yield Prose(note[0].upper() + note[1:] + ".")
