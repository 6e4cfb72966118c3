"""First section of a report: three numbers and what they mean, what to worry about, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueward.core.errors import TruewardError
from trueward.evaluation.verdict import needs_calibration, verdict

from .metric_table import best_rows
from .page import Callout, Folded, Prose, Section, Table, Tiles
from .verdict_tiles import biased, held_out, tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trueward.core.estimate import Estimate

    from .inputs import ReportInputs
    from .page import Block

    Metrics = Mapping[str, Estimate]

FLAT = 0.02  # standard deviation of P(preferred) below which all responses score about the same
FAR = 0.05  # share of responses out of distribution above which scores deserve a warning
TOGETHER = 2  # models whose verdicts are shown unfolded
COLUMNS = {  # metric -> heading, and whether higher is better
    "auroc": ("AUROC, higher is better", True),
    "r2": ("R2, higher is better", True),
    "brier": ("Brier score, lower is better", False),
}


def first_section(inputs: ReportInputs, warnings: list[str]) -> Section:
    """Build the verdict: tiles for one model, a table for several, then warnings and the next steps.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.
    warnings : list of str
        Warnings of the log.

    Returns
    -------
    Section
        The section ``Verdict``.

    """
    found = {name: _evidence(inputs, name) for name in inputs.models}
    blocks: list[Block] = []
    if len(found) == 1:
        name, (metrics, source) = next(iter(found.items()))
        model = inputs.models[name]
        if metrics:
            blocks.append(Prose(_sentence(verdict(metrics), source)))
        blocks.append(Tiles(tiles(model, metrics, source)))
    else:
        blocks += _compared(inputs, found)
    for name, (metrics, _) in found.items():
        before = "" if len(found) == 1 else f"{name}: "
        blocks += [Callout(_whole(before + w)) for w in _warnings(inputs, name, metrics)]
    blocks += [Callout(_whole(f"the log: {w}")) for w in warnings]
    blocks += _next(inputs, found)
    return Section("Verdict", blocks)


def _evidence(inputs: ReportInputs, name: str) -> tuple[Metrics, str]:
    """Metrics on the best labels there are, and where they come from; none where there are no labels."""
    try:
        if inputs.test is not None:
            metrics = inputs.metrics(name)
            return metrics, f"on {metrics.rows:,} clean responses"
        if inputs.log is not None and "gold" in inputs.log.columns:
            audit = inputs.audit(name)
            return audit, f"on the log, from {audit.gold:,} gold labels"
    except TruewardError:
        pass  # the section on it states the reason
    return {}, ""


def _whole(text: str) -> str:
    """Return a warning as a sentence; a name before it keeps its letters."""
    first = text[:1] if text.partition(" ")[0].endswith(":") else text[:1].upper()
    return f"{first}{text[1:]}".rstrip(".") + "."


def _sentence(text: str, source: str) -> str:
    return f"{source[0].upper()}{source[1:]}: {text}"


def _compared(inputs: ReportInputs, found: Mapping[str, tuple[Metrics, str]]) -> Iterator[Block]:
    """Compare the models in a table, with the best value of every metric marked."""
    shown = [k for k in COLUMNS if any(k in metrics for metrics, _ in found.values())]
    if not shown:
        yield Prose(
            "No gold label and no clean test: nothing shows which of these models is better."
        )
        return
    rows, best = [], set()
    for name, (metrics, _) in found.items():
        rows.append([name, inputs.models[name].method, *(str(metrics.get(k, "-")) for k in shown)])
    for column, metric in enumerate(shown, 2):
        best |= {
            (row, column)
            for row in best_rows(
                [
                    None if model.estimator.takes_truth else _value(metrics, metric)
                    for model, (metrics, _) in zip(
                        inputs.models.values(), found.values(), strict=True
                    )
                ],
                COLUMNS[metric][1],
            )
        }
    source = next(source for metrics, source in found.values() if metrics)
    head = ["model", "method", *(COLUMNS[k][0] for k in shown)]
    caption = f"The models {source}, with 95 % intervals; a star marks the best value"
    if any(m.estimator.takes_truth for m in inputs.models.values()):
        caption += " of those that a log allows"
    yield Table(caption, head, rows, frozenset({0, 1}), frozenset(best))
    said = [Prose(f"{name}: {verdict(metrics)}") for name, (metrics, _) in found.items() if metrics]
    yield from said if len(said) <= TOGETHER else [Folded("Every model in words", said)]


def _value(metrics: Metrics, metric: str) -> float | None:
    e = metrics.get(metric)
    return None if e is None else e.value


def _warnings(inputs: ReportInputs, name: str, metrics: Metrics) -> Iterator[str]:
    """Yield what a user of the model should know, the most important first."""
    model, held = inputs.models[name], held_out(inputs.models[name])
    if needs_calibration(metrics):
        yield (
            f"P(preferred) predicts the labels worse than one constant would (R2 "
            f"{_value(metrics, 'r2'):.2f}): its level is of no use before a calibration"
        )
    auroc = metrics.get("auroc")
    low = None if held is None else float(held["auroc_low"])
    low = low if auroc is None or auroc.low is None else auroc.low
    if low is not None and low <= 0.5:
        yield "nothing shows that the ranking is better than chance"
    spread = _spread(inputs, name)
    if spread is not None and spread < FLAT:
        yield (
            f"P(preferred) is nearly the same for every response (standard deviation {spread:.3f}): its "
            "level tells them hardly apart"
        )
    if not metrics:
        yield "no gold label and no clean test checks this model: the verdict rests on the log's own ratings"
    yield from model.report["warnings"]
    yield from model.report.get("reasons", ())[3:]
    takes_truth = model.estimator.takes_truth
    if inputs.log is not None and "gold" in inputs.log.columns and metrics and not takes_truth:
        yield from _audit_warnings(inputs, name)


def _audit_warnings(inputs: ReportInputs, name: str) -> Iterator[str]:
    try:
        yield from inputs.audit(name).warnings
        far = float(inputs.scores(name).out_of_distribution.double().mean())
    except TruewardError:
        return
    if far > FAR:
        yield f"{far:.0%} of the responses are out of distribution: their scores are unreliable"


def _spread(inputs: ReportInputs, name: str) -> float | None:
    """Standard deviation of P(preferred) over the responses that are scored, or of the validation rows."""
    held = held_out(inputs.models[name])
    try:
        if inputs.log is not None:
            return float(inputs.preferred(name, "log").double().std(correction=0))
        if inputs.test is not None:
            return float(inputs.preferred(name, "test").double().std(correction=0))
    except TruewardError:
        return None
    return None if held is None else float(held["spread"])


def _next(inputs: ReportInputs, found: Mapping[str, tuple[Metrics, str]]) -> Iterator[Block]:
    """Yield what to do next, with a command."""
    name, log = next(iter(found)), _log_name(inputs)
    if not any(metrics for metrics, _ in found.values()):
        yield Callout(
            "Label the drawn responses, then run evaluate --log with --gold to know how good the model is.",
            "next",
            f"trueward plan {name} {log} --width 0.1 --out label.csv",
        )
        return
    shifted = [model for model, (own, _) in found.items() if needs_calibration(own) or biased(own)]
    if shifted:
        yield Callout(
            f"Calibrate {', '.join(shifted)} on gold labels, or with --feedback in place of --gold.",
            "next",
            f"trueward calibrate {shifted[0]} {log} --gold GOLD --out {shifted[0]}-calibrated",
        )
    if len(found) > 1:
        yield Callout(
            "Choose by AUROC if scores only order responses, by R2 if they are read as probabilities; "
            "intervals that overlap do not tell two models apart.",
            "next",
        )
    elif name not in shifted:
        yield Callout(
            "Score new responses; or export the model for other stacks with trueward export.",
            "next",
            f"trueward score {name} pairs.jsonl --out scored.parquet",
        )


def _log_name(inputs: ReportInputs) -> str:
    """The file of the log as the fit recorded it, or LOG."""
    known = next(iter(inputs.models.values())).report.get("log")
    path = known.get("path") if isinstance(known, dict) else None
    return path if isinstance(path, str) else "LOG"
