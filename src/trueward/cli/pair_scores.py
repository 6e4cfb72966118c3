"""What `trueward evaluate --pairs` measures and prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .common import pairs, show_json
from .reading import pairs_map

if TYPE_CHECKING:
    from trueward.evaluation.comparison_scores import ComparisonScores
    from trueward.evaluation.preference_pairs import PairScores
    from trueward.model.reward_model import RewardModel


def of_pairs(
    rm: RewardModel,
    file: str,
    benchmark: Any,
    log: str | None,
    mapping: Any,
    split: Any,
    cluster: Any,
) -> PairScores | ComparisonScores:
    """Measure a model on comparisons, or on the file of a benchmark."""
    from trueward.data.log_reading import read_log
    from trueward.data.pair_layouts import read_comparisons
    from trueward.evaluation.comparison_scores import evaluate_comparisons
    from trueward.evaluation.preference_pairs import evaluate_pairs

    if benchmark is not None:
        columns = pairs(mapping, "--map")
        return evaluate_pairs(rm, file, benchmark, mapping=columns, split=split)
    of_pairs, of_log = pairs_map(mapping, log)
    found = read_comparisons(file, mapping=of_pairs, split=split if log is None else None)
    if log is None:
        return evaluate_comparisons(rm, found, cluster=cluster)
    rows = read_log(log, mapping=of_log, split=split, pairs=found)
    return evaluate_comparisons(rm, log=rows, cluster=cluster)


def show_pairs(found: PairScores | ComparisonScores, as_json: bool) -> None:
    """Print scores on pairs; as JSON without the warnings, which go to stderr."""
    if not as_json:
        typer.echo(str(found))
        return
    show_json(found.to_json())
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
