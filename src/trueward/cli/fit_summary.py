"""What `trueward fit` prints: what was learned, how good it seems, what to worry about, what to run next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .common import paragraph, say_next

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trueward.model.reward_model import RewardModel

BACKBONE = (
    "An export to TRL, veRL or vLLM needs a language-model backbone: fit with --backbone NAME_OR_FOLDER. "
    "The default features export as a scorer in numpy."
)
FLAT = 0.02  # standard deviation of P(preferred) below which all responses score about the same


def summarize(model: RewardModel, out: Path, log: Sequence[str], *, verbose: bool) -> None:
    """Print the summary of a fit.

    Parameters
    ----------
    model : RewardModel
        The fitted model.
    out : Path
        Its folder.
    log : sequence of str
        The log with its options, as words of a command.
    verbose : bool
        Print also the nuisances, the losses and all reasons.

    """
    report = model.report
    gold, needs_gold = report.get("gold", 0), "gold" in model.estimator.needs
    paragraph(f"{out}: {learned(report, model.method, gold if needs_gold else 0)}")
    if sentence := held_out(report, model.method):
        paragraph(sentence)
    for worry in worries(model, log):
        paragraph(worry, "warning: ")
    if verbose:
        _internals(model)
    if "wordllama" in (model.backbone or ""):
        paragraph(BACKBONE)
    if gold and not needs_gold:
        say_next("trueward", "evaluate", str(out), "--log", *log)
    elif not gold:
        width, file = ("--width", "0.1"), ("--out", "label.csv")
        say_next(
            *("trueward", "plan", str(out), *log, *width, *file),
            why="responses to label, to know how good it is",
        )
    say_next("trueward", "report", str(out), *(() if _inside(log[0]) else ("--log", *log)))


def learned(report: dict[str, Any], method: str, gold: int) -> str:
    """Say what was learned from which rows, of them ``gold`` gold labels, and why by this method."""
    rows, rated = report["rows"]["train"], report["rated"]["train"]
    labels = f" and {gold:,} with a gold label" if gold else ""
    text = (
        f"{method} learned P(preferred), the probability that a response is good, from {rows:,} logged "
        f"responses, {rated:,} of them with feedback{labels}."
    )
    reasons = report.get("reasons", ())
    if len(reasons) > 1:
        text += f" auto s{reasons[1].removeprefix('S').replace('elected:', 'elected', 1)}"
    return text


def held_out(report: dict[str, Any], method: str) -> str:
    """Compare the rankings of the model and of naive on held-out ratings, in one sentence."""
    found = report.get("held_out")
    if found is None:
        tuned = report.get("tuned")
        return "" if tuned else "The log has no held-out ratings to rank, so the fit is unchecked."
    auroc = f"AUROC {found['auroc']:.3f} [{found['auroc_low']:.3f}, {found['auroc_high']:.3f}]"
    if method == "naive":
        return f"On {found['rated']:,} held-out ratings it ranks with {auroc}; .5 is chance."
    if found["low"] == found["high"] == 0:
        return (
            f"On {found['rated']:,} held-out ratings its ranking is that of naive, which takes the feedback "
            f"as it is: {auroc}; .5 is chance."
        )
    span = f"{found['difference']:+.3f}, 95 % interval {found['low']:+.3f} to {found['high']:+.3f}"
    how = "about as well as"
    if found["low"] > 0 or found["high"] < 0:
        how = "better than" if found["low"] > 0 else "worse than"
    return (
        f"On {found['rated']:,} held-out ratings it ranks {how} naive, which takes the feedback as it is: "
        f"{auroc}, naive {found['naive_auroc']:.3f} (difference {span})."
    )


def worries(model: RewardModel, log: Sequence[str]) -> Iterator[str]:
    """Yield what a user should know before using the model, the most important first."""
    report = model.report
    yield from report["warnings"]
    yield from report.get("reasons", ())[3:]
    found = report.get("held_out")
    if found is not None:
        if found["auroc_low"] <= 0.5:
            yield (
                "the held-out ratings do not show that it ranks better than chance: collect more feedback, "
                "or features that see more (--backbone)"
            )
        if found["spread"] < FLAT:
            yield (
                f"P(preferred) is nearly the same for every response (standard deviation "
                f"{found['spread']:.3f}): use its order, not its level"
            )
        if found["high"] < 0:
            yield (
                "on held-out ratings naive ranks better; they have the selection of the log, so this is no "
                f"proof: compare both on gold labels, or run trueward refute {model.method} {log[0]}"
            )
    if not report.get("gold", 0):
        yield (
            "no gold label checks this model: held-out ratings have the same selection and noise as the "
            "log, so they show its ranking among rated responses and not the level of P(preferred)"
        )


def _inside(log: str) -> bool:
    """Whether `report` finds the log by itself: a file in the working folder."""
    return "://" not in log and Path(log).resolve().is_relative_to(Path.cwd().resolve())


def _internals(model: RewardModel) -> None:
    """Print losses, members and nuisances."""
    report, loss = model.report, model.report["training"]["validation_loss"]
    for sentence in report.get("reasons", ()):
        paragraph(sentence, "  ")
    if loss:
        typer.echo(f"  validation loss {sum(loss) / len(loss):.4f}")
    spread = report["spread"]
    if spread["members"] > 1:
        low, high = spread["lowest_mean"], spread["highest_mean"]
        paragraph(
            f"{spread['members']} members: spread of P {spread['mean_sd']:.3f} on average, "
            f"mean P from {low:.3f} to {high:.3f}",
            "  ",
        )
    for name, about in report["nuisances"].items():
        paragraph(f"{name}: {_figures(about)}", "  ")


def _figures(report: dict[str, Any]) -> str:
    words = []
    for k, v in report.items():
        if isinstance(v, dict) and "value" in v:
            words.append(f"{k} {v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]")
        elif isinstance(v, int | float) and v is not False and k != "quantile":
            words.append(k.replace("_", " ") + ("" if v is True else f" {v:g}"))
    return ", ".join(
        words or [f"{k} {_figures(v)}" for k, v in report.items() if isinstance(v, dict)]
    )
