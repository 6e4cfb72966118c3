"""`trueward leaderboard`."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Json, Map, show_json
from .evaluating import ClusterBy
from .reading import pairs_map


def leaderboard(
    battles: Annotated[
        str,
        typer.Argument(
            metavar="LOG",
            help="The folder of an import, a log with a column model, or battles: model_a, model_b, winner.",
        ),
    ],
    compared: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            metavar="FILE",
            help="Comparisons of responses of the log [of an import: its own].",
        ),
    ] = None,
    control: Annotated[
        str,
        typer.Option(
            metavar="STYLE", help="Compare at equal style: length, markdown, or length,markdown."
        ),
    ] = "",
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Use comparisons of this source; repeatable."),
    ] = None,
    mapping: Map = None,
    cluster: ClusterBy = "both",
    as_json: Json = False,
) -> None:
    """Rank the models of a product by the comparisons of its log, with 95 % intervals."""
    from trueward.data.pair_layouts import read_comparisons
    from trueward.evaluation.leaderboard import leaderboard as rank

    of_pairs, of_log = pairs_map(mapping, battles)
    found = None if compared is None else read_comparisons(compared, mapping=of_pairs)
    names = [name.strip() for name in control.split(",") if name.strip()]
    board = rank(
        battles,
        pairs=found,
        mapping=of_log if compared else of_log | of_pairs,
        control=names,
        sources=source or (),
        cluster=cluster,
    )
    show_json(board.to_json()) if as_json else typer.echo(str(board))
