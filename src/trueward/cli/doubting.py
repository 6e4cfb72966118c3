"""`trueward calibrate`, `sensitivity` and `plan`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trueward.core.errors import UsageError

from .common import Gold, Json, Map, Model, PerRated, SafeCsv, Seed, Split, show_json, writable
from .outputs import claim_output, write_rows
from .reading import read, with_features
from .recorded_log import fitted_on

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from trueward.asking.labels.silent import SilentPlan
    from trueward.data.log import Log
    from trueward.evaluation.sample_size import Plan


def calibrate(
    model: Model,
    log: Annotated[str, typer.Argument(help="A log with gold labels, or --gold.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write the model to.")],
    gold: Gold = None,
    chosen: Annotated[
        bool,
        typer.Option(
            "--chosen", help="The gold rows are no random draw: weight them by 1 / P(chosen)."
        ),
    ] = False,
    feedback: Annotated[
        bool,
        typer.Option("--feedback", help="No gold labels: rated rows, weighted by 1 / P(rated)."),
    ] = False,
    mapping: Map = None,
    split: Split = None,
    per_rated: PerRated = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Calibrate P(preferred) on gold labels, and fit the conformal sets of decisions."""
    from trueward.evaluation.weighted_calibration import calibrate as weighted_calibration
    from trueward.model.reward_model import claim, load

    if feedback and (gold is not None or chosen):
        raise UsageError("--feedback replaces gold labels: leave out --gold and --chosen")
    claim_output(claim(out), say=True)
    rm = load(model)
    data = with_features(rm, read(log, gold, mapping, split, sample=(per_rated, seed)))
    calibrated = weighted_calibration(rm, data, chosen=chosen, feedback=feedback, seed=seed)
    calibrated.save(out)
    report = calibrated.report["calibration"]
    if as_json:
        show_json(report)
        return
    losses = ", ".join(f"{k} {v:.4f}" for k, v in report["log_loss"].items())
    labels = "rated responses" if feedback else "gold labels"
    typer.echo(f"{out}: calibrated by {report['kind']} on {report['gold']} {labels}")
    typer.echo(f"  log-loss on held-out labels: {losses}")
    if "assumes" in report:
        size = report["effective_sample_size"]
        typer.echo(f"  weighted; effective sample size {size:g}; assumes: {report['assumes']}")
    typer.echo("".join(f"  {line}\n" for line in _decisions(report)), nl=False)
    if "warning" in report:
        typer.echo(f"  warning: {report['warning']}")


def _decisions(report: dict[str, Any]) -> Iterator[str]:
    """Yield in words what every confidence decides, and what it holds for."""
    for at in report["decisions"]:
        level, error = at["confidence"], at["error"]
        flags = f"--min-confidence {level:g}" + (" --by-class" if at["by_class"] else "")
        if error["value"] is None:
            least = math.ceil(level / (1 - level) - 1e-9)
            each = "gold labels of either kind" if at["by_class"] else "gold labels"
            few = f"it takes {each} on at least {least} prompts"
            wide = "no P(preferred) is near enough to 0 or 1"
            yield f"score {flags} decides nothing: {few if report['gold'] < 2 * least else wide}"
            continue
        wrong = f"{error['value']:.0%}"
        if error["low"] is not None:
            wrong += f" ({error['low']:.0%} to {error['high']:.0%})"
        yield f"score {flags} decides {at['decided']:.0%} of responses; wrong among these: {wrong}"
    yield report["guarantee"]


def sensitivity(
    model: Model,
    log: Annotated[
        str | None, typer.Argument(help="A log [the one it was fitted on, if it is there].")
    ] = None,
    gold: Gold = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the curve: .svg or .png (extra `report`).")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show how ranking and scale depend on the odds ratio of reacting, noise rates and priors."""
    from trueward.evaluation.sensitivity import sensitivity as analyse
    from trueward.model.reward_model import load

    if figure is not None:
        writable(figure, (".svg", ".png"), "--figure")
    rm = load(model)
    table = read(log, gold, mapping, split) if log else fitted_on(rm, gold, mapping, split)
    result = analyse(rm, with_features(rm, table), seed=seed)
    if figure is not None:
        if not result.odds:
            raise UsageError("a log of clicks has no odds ratio of reacting: leave out --figure")
        from trueward.evaluation.plotting import curve

        curve(result, figure)
    show_json(result.to_json()) if as_json else typer.echo(str(result))


HowDrawn = Annotated[
    Literal["uniform", "stratified", "chance", "asked-silent"],
    typer.Option(
        "--draw",
        help="stratified: by feedback and P(preferred). chance: labels where they say most. asked-silent: "
        "of those who were asked and stayed silent, for the share of good responses.",
    ),
]


def plan(
    model: Model,
    log: Annotated[str, typer.Argument(help="The log whose responses are to be audited.")],
    width: Annotated[float, typer.Option(help="Wanted width of the 95 % interval.")],
    metric: Annotated[str, typer.Option(help="auroc, r2, brier, nll, accuracy, bias, good.")] = (
        "brier"
    ),
    gold: Gold = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the responses to label next: .csv, .jsonl.")
    ] = None,
    draw: HowDrawn = "uniform",
    twice: Annotated[
        float, typer.Option("--twice", help="Share of the responses that two annotators label.")
    ] = 0.15,
    mapping: Map = None,
    split: Split = None,
    safe_csv: SafeCsv = True,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compute how many gold labels an audit needs, and draw the responses to label next."""
    from trueward.asking.labels.batch import plan_table
    from trueward.asking.labels.silent import plan_silent
    from trueward.evaluation.sample_size import plan as plan_audit
    from trueward.model.reward_model import load

    if out is not None:
        writable(out, (".csv", ".jsonl"))
    if draw != "uniform" and out is None:
        raise UsageError(
            f"the draw {draw} needs --out FILE: its labels count only with their gold_weight"
        )
    if not 0 <= twice <= 1:
        raise UsageError(f"--twice takes a share from 0 to 1, not {twice:g}")
    rm = load(model)
    table = read(log, gold, mapping, split)
    result: Plan | SilentPlan
    if draw == "asked-silent":
        result = plan_silent(table, width, seed=seed)
    else:
        result = plan_audit(rm, with_features(rm, table), metric, width, draw=draw, seed=seed)
    if out is not None:
        rows = _drawn_rows(table, result.rows.tolist(), result.gold_weight)
        write_rows(plan_table(rows, twice=twice, seed=seed), out, safe_csv=safe_csv)
    _show_plan(result, out, as_json=as_json)


def _show_plan(result: Plan | SilentPlan, out: Path | None, *, as_json: bool) -> None:
    """Print the plan, and what to do with its file."""
    if as_json:
        show_json(
            {k: v for k, v in vars(result).items() if k not in {"rows", "gold_weight"}}
            | {"more": len(result.rows)}
        )
        return
    typer.echo(str(result) + (f"; {out} has them, with an empty column gold" if out else ""))
    if out is not None:
        typer.echo(f"fill in the column, or label on a page: trueward label {out} --out label.html")
    for warning in getattr(result, "warnings", ()):
        typer.echo(f"warning: {warning}")


def _drawn_rows(table: Log, rows: list[int], weight: Tensor | float | None) -> pl.DataFrame:
    """Texts of the drawn rows, with their gold_weight; refuse copies, which one label would reach."""
    import polars as pl

    texts = table.frame.select("prompt", "response")
    drawn = texts[rows]
    if weight is None:
        return drawn
    copies = texts.is_duplicated()[rows]
    if copies.any():
        raise UsageError(
            f"{copies.sum()} of the drawn responses occur several times in the log with the same "
            "prompt, and a label would reach all copies, whose P(labelled) is larger: plan on a log "
            "without copies, or leave out --draw"
        )
    values = [weight] * len(rows) if isinstance(weight, float) else weight.tolist()
    return drawn.with_columns(gold_weight=pl.Series(values, dtype=pl.Float64))
