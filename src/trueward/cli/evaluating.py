"""`trueward evaluate`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trueward.core.errors import UsageError

from .common import (
    FailIf,
    Gold,
    Json,
    Map,
    Model,
    PerRated,
    Seed,
    Split,
    conditions,
    fail_if,
    pairs,
    paragraph,
    say_next,
    show_json,
)
from .comparing import Against, against_of
from .pair_scores import of_pairs, show_pairs
from .progress import Steps, finish_progress
from .reading import log_words, read, with_features

if TYPE_CHECKING:
    from trueward.data.feedback import Feedback
    from trueward.data.log import Log
    from trueward.evaluation.audit import Audit
    from trueward.evaluation.measure import Metrics
    from trueward.model.reward_model import RewardModel

PairsFile = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="FILE",
        help="Instead of a test table: comparisons, as fit --pairs reads them, with --log where they have "
        "ids; or, with --as, the published file of a benchmark.",
    ),
]
Benchmark = Annotated[
    Literal["rewardbench2", "rewardbench", "rm-bench", "judgebench"] | None,
    typer.Option("--as", help="--pairs: the file is that of this benchmark."),
]

JudgeFile = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="FILE",
        help="--log: answers of trueward label --judge, as evidence beside the gold labels.",
    ),
]

Beside = Annotated[
    Path | None,
    typer.Option(
        "--beside",
        metavar="MODEL",
        help="Test table: a second model, such as a fit of naive, and the difference in every metric with a "
        "paired 95 % interval.",
    ),
]
ClusterBy = Annotated[
    Literal["prompt", "user", "both"],
    typer.Option("--cluster", help="Units that the intervals are clustered by, where ids exist."),
]


def evaluate(
    model: Model,
    test: Annotated[
        str | None, typer.Argument(help="A table of prompt, response, label or rating.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            help="Instead of a test table: a log, with gold labels in it or in --gold, or --pairs.",
        ),
    ] = None,
    pairs_file: PairsFile = None,
    benchmark: Benchmark = None,
    gold: Gold = None,
    future: Annotated[
        bool,
        typer.Option(
            "--future", help="--log: estimate the metrics on new prompts, not on the logged ones."
        ),
    ] = False,
    chosen: Annotated[
        bool, typer.Option("--chosen", help="--log: the gold rows are not a random draw.")
    ] = False,
    judge: JudgeFile = None,
    mapping: Map = None,
    split: Split = None,
    draws: Annotated[
        int | None,
        typer.Option(min=20, help="Test table: draws of the noise in the interval of ece [1000]."),
    ] = None,
    cluster: ClusterBy = "both",
    per_rated: PerRated = "auto",
    beside: Beside = None,
    seed: Seed = 0,
    failing: FailIf = None,
    as_json: Json = False,
) -> None:
    """Measure a model on clean labels, comparisons, or a log with a few gold labels, with 95 % intervals."""
    from trueward.data.truth import read_test
    from trueward.evaluation.audit import audit
    from trueward.evaluation.evaluate import evaluated as measure
    from trueward.evaluation.paired import Statistics
    from trueward.evaluation.verdict import needs_calibration
    from trueward.model.reward_model import load

    _require_one_source(test, log, pairs_file, benchmark)
    flags = {"--gold": gold, "--judge": judge, "--future": future, "--chosen": chosen}
    _only_with_log(flags if log is None or pairs_file else {}, "comparisons" if pairs_file else "")
    _only_with_test({"--draws": draws is not None} if test is None else {})
    _only_with_test({"--cluster": cluster != "both"} if benchmark else {})
    _only_with_test({"--beside": beside is not None} if test is None else {})
    checks, rm, columns = conditions(failing), load(model), pairs(mapping, "--map")
    if pairs_file is not None:
        scored = of_pairs(rm, pairs_file, benchmark, log, mapping, split, cluster)
        show_pairs(scored, as_json)
        return fail_if(checks, scored)
    if log is not None:
        step = Steps(1, 4, 5)
        step("reading the log")
        rows = _with_judge(read(log, gold, mapping, split, sample=(per_rated, seed)), judge)
        step("computing features")
        data = _clustered(with_features(rm, rows), cluster)
        step("predicting the labels that the log lacks")
        audited = audit(rm, data, future=future, chosen=chosen, seed=seed)
        finish_progress()
        _show_audit(audited, rm, model, as_json)
        return fail_if(checks, audited)
    how: dict[str, Any] = {"cluster": cluster, "draws": draws or 1000, "seed": seed}
    labels = read_test(str(test), mapping=columns, split=split)
    other = None if beside is None else load(beside)
    kept = Statistics()
    found = measure(rm, labels, **how, kept=kept)
    against = None if other is None else against_of(other, str(beside), labels, kept, how)
    _show_metrics(found, against, rm, model, as_json)
    words = log_words(str(test), None, mapping, split)
    if not as_json and not needs_calibration(found):
        say_next("trueward", "report", str(model), "--test", *words)
    return fail_if(checks, found)


def _show_metrics(
    found: Metrics,
    against: Against | None,
    rm: RewardModel,
    folder: Path,
    as_json: bool,
) -> None:
    """Print a verdict and a table, and what to do where P(preferred) is of no use."""
    from trueward.evaluation.paired import difference_line
    from trueward.evaluation.verdict import beside, held_out_line, needs_calibration, verdict

    if as_json:
        show_json(found.to_json() | ({} if against is None else against.to_json()))
        for warning in found.warnings:
            typer.echo(f"warning: {warning}", err=True)
        return
    paragraph(f"verdict: {verdict(found)}")
    if against is not None:
        paragraph(f"{against.name}: {verdict(against.metrics)}")
        if line := difference_line(against.differences, against.name):
            paragraph(line)
    elif line := held_out_line(rm.report):
        paragraph(line)
    typer.echo("")
    if against is not None:
        typer.echo(beside(found, str(folder), against.metrics, against.name, against.differences))
    else:
        typer.echo(str(found))
    if needs_calibration(found):
        _advise_calibration(rm, folder)


def _advise_calibration(rm: RewardModel, folder: Path) -> None:
    """Say how to mend a P(preferred) that is worse than a constant."""
    if rm.calibration is not None:
        paragraph(
            "R2 is negative although the model is calibrated: calibrate it again, on gold labels of "
            "responses like these",
            "warning: ",
        )
        return
    paragraph(
        "R2 is negative: calibrate on gold labels, or on feedback with --feedback", "warning: "
    )
    known = rm.report.get("log")
    log = known.get("path") if isinstance(known, dict) else None
    words = ("trueward", "calibrate", str(folder), str(log or "LOG"))
    say_next(*words, "--gold", "GOLD", "--out", f"{str(folder).rstrip('/')}-calibrated")


def _show_audit(audited: Audit, rm: RewardModel, folder: Path, as_json: bool) -> None:
    """Print a verdict and the table of an audit."""
    from trueward.evaluation.verdict import held_out_line, needs_calibration, verdict

    if as_json:
        show_json(audited.to_json())
        return
    paragraph(f"verdict: {verdict(audited)}")
    if "gold" in rm.estimator.needs:
        paragraph("This is too good if the model was fitted on these labels (see the warning).")
    if line := held_out_line(rm.report):
        paragraph(line)
    typer.echo(f"\n{audited}")
    if needs_calibration(audited):
        _advise_calibration(rm, folder)
    else:
        say_next("trueward", "report", str(folder))


def _with_judge(rows: Log, file: str | None) -> Log:
    """Join the answers of a judge, if there are some."""
    from trueward.evaluation.judge.column import with_judge

    return rows if file is None else with_judge(rows, file)


def _require_one_source(
    test: str | None, log: str | None, pairs_file: str | None, benchmark: str | None
) -> None:
    """Refuse none or several of a test table, a log and a file of pairs."""
    if benchmark is not None and pairs_file is None:
        raise UsageError(f"--as {benchmark} needs --pairs FILE")
    # comparisons may name the responses of a log
    log = None if pairs_file is not None and benchmark is None else log
    if sum(source is not None for source in (test, log, pairs_file)) != 1:
        raise UsageError(
            "evaluate needs either a test table or --log (a log with gold labels) or --pairs (comparisons, a "
            "benchmark), and only one of them"
        )


def _clustered(data: Feedback, cluster: str) -> Feedback:
    """Return a log without its users where intervals are clustered by prompt alone."""
    if cluster == "user":
        raise UsageError("--cluster user needs a test table: --log takes prompt or both")
    return dataclasses.replace(data, user=None) if cluster == "prompt" else data


def _only_with_log(given: dict[str, str | bool | None], other: str) -> None:
    """Refuse options of gold labels without a log, or beside ``other``."""
    for flag, value in given.items():
        if value not in (None, False):
            why = "a test table has a label in every row"
            raise UsageError(
                f"{flag} needs --log: {other + ' need no gold labels' if other else why}"
            )


def _only_with_test(given: dict[str, bool]) -> None:
    """Refuse options that have no meaning without a test table."""
    for flag, there in given.items():
        if there:
            raise UsageError(
                f"{flag} needs a test table: --log and --pairs have no ece, and --as no users"
            )
