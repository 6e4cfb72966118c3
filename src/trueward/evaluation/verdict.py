"""What metrics mean in one sentence, and a table of a model beside another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.core.estimate import Estimate

    from .measure import Metrics


def verdict(metrics: Mapping[str, Estimate]) -> str:
    """Say whether a model ranks, and whether its P(preferred) is of use as a probability.

    Parameters
    ----------
    metrics : mapping of str to Estimate
        With ``auroc`` or ``pair_accuracy``, and ``r2`` and ``bias`` where labels are known.

    Returns
    -------
    str
        One sentence.

    """
    parts = [part for part in (_ranking(metrics), _level(metrics)) if part]
    return ("; ".join(parts) or "the labels decide nothing about this model") + "."


def needs_calibration(metrics: Mapping[str, Estimate]) -> bool:
    """Return whether P(preferred) predicts the labels worse than their mean does: R2 below 0.

    Parameters
    ----------
    metrics : mapping of str to Estimate
        With ``r2`` where labels are known.

    """
    r2 = metrics.get("r2")
    return r2 is not None and r2.value is not None and r2.value < 0


def _ranking(metrics: Mapping[str, Estimate]) -> str:
    what = "a good response scores above a bad one"
    e = metrics.get("auroc")
    if e is None or e.value is None:
        what, e = (
            "the better of two responses to a prompt scores higher",
            metrics.get("pair_accuracy"),
        )
    if e is None or e.value is None:
        return ""
    share = f"{e.value:.0%} of the time"
    if e.low is None or e.high is None:
        return f"{what} {share}, without an interval"
    share += f" (95 % interval {e.low:.0%} to {e.high:.0%}; chance is 50%)"
    if e.high < 0.5:
        return f"it ranks backwards: {what} {share}"
    return f"{'it ranks' if e.low > 0.5 else 'it is not shown to rank better than chance'}: {what} {share}"


def _level(metrics: Mapping[str, Estimate]) -> str:
    e, bias = metrics.get("r2"), metrics.get("bias")
    if e is None or e.value is None:
        return ""
    if needs_calibration(metrics):
        shown = "" if e.high is not None and e.high < 0 else ", as far as these labels show"
        return (
            f"its P(preferred) predicts the labels worse than one constant would (R2 {e.value:.2f}){shown}: "
            "use its order only, or calibrate it"
        )
    text = f"its P(preferred) explains {e.value:.0%} of the variance of the labels"
    if e.low is not None and e.low <= 0:
        text += ", which these labels do not tell from 0"
    if bias is None or bias.value is None or bias.low is None or bias.high is None:
        return text
    if bias.low > 0 or bias.high < 0:
        text += (
            f" and is {abs(bias.value):.2f} too {'high' if bias.value > 0 else 'low'} on average"
        )
    return text


def held_out_line(report: Mapping[str, Any]) -> str:
    """Say how the model ranked held-out ratings beside naive at its fit; empty if that is not known.

    Parameters
    ----------
    report : mapping
        Record of the fit, which somebody else may have written.

    """
    found = report.get("held_out")
    if not isinstance(found, dict):
        return ""
    try:
        if found["low"] == found["high"] == 0:
            return (
                f"At the fit its ranking of {found['rated']:,} held-out ratings was that of naive, AUROC "
                f"{found['auroc']:.3f}."
            )
        return (
            f"At the fit it ranked {found['rated']:,} held-out ratings with AUROC {found['auroc']:.3f}, "
            f"naive {found['naive_auroc']:.3f} (difference {found['difference']:+.3f}, 95 % interval "
            f"{found['low']:+.3f} to {found['high']:+.3f})."
        )
    except (KeyError, TypeError, ValueError):  # a folder that somebody else wrote
        return ""


def beside(
    found: Metrics, name: str, other: Metrics, other_name: str, differences: Mapping[str, Estimate]
) -> str:
    """Format two models as a table, each metric with its 95 % interval, and the size of the test below.

    Parameters
    ----------
    found, other : Metrics
        Metrics of both on one test.
    name, other_name : str
        Heads of their columns.
    differences : mapping of str to Estimate
        The first model's metric minus the other's, with paired intervals; a third column.

    """
    wide = max(23, len(name), len(other_name)) + 1
    lines = [f"{'metric':<15} {name:<{wide}} {other_name:<{wide}} difference"]
    for metric, e in found.items():
        second = str(other[metric]) if metric in other else "-"
        line = f"{metric:<15} {e!s:<{wide}} {second:<{wide}} {_signed(differences.get(metric))}"
        lines.append(line.rstrip())
    about = str(found).splitlines()[len(found) + 1 :]  # below the table of one model
    return "\n".join([*lines, *about])


def _signed(e: Estimate | None) -> str:
    """Format a difference with its sign."""
    if e is None or e.value is None:
        return "-"
    interval = "" if e.low is None or e.high is None else f" [{e.low:+.3f}, {e.high:+.3f}]"
    return f"{e.value:+.3f}{interval}"
