"""Three numbers that say what a model is of use for: its ranking, its level, and naive beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.evaluation.verdict import needs_calibration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trueward.core.estimate import Estimate
    from trueward.model.reward_model import RewardModel

    Metrics = Mapping[str, Estimate]
    Tile = tuple[str, str, str, str]

UNKNOWN = "not known"


def tiles(model: RewardModel, metrics: Metrics, source: str) -> list[Tile]:
    """Return three numbers on a model: its ranking, its level, and naive beside it.

    Parameters
    ----------
    model : RewardModel
        The model.
    metrics : mapping of str to Estimate
        Metrics on the best labels there are; empty without labels.
    source : str
        Where these labels come from.

    Returns
    -------
    list of tuple
        Name, number, source and meaning of each.

    """
    return [_ranking(model, metrics, source), _level(metrics, source), _beside(model)]


def _ranking(model: RewardModel, metrics: Metrics, source: str) -> Tile:
    """How often a good response scores above a bad one."""
    e, held = metrics.get("auroc"), held_out(model)
    if (e is None or e.value is None) and (pairs := metrics.get("pair_accuracy")) is not None:
        e = pairs
    if e is not None and e.value is not None and e.low is not None:
        value, low, high = e.value, e.low, e.high
    elif held is not None:
        value, low, high = held["auroc"], held["auroc_low"], held["auroc_high"]
        source = f"on {held['rated']:,} held-out ratings, with the selection and noise of the log"
    else:
        return "Ranking", UNKNOWN, "no labels and no held-out ratings", "Do not rely on it yet."
    use = "Use it to rank responses, to filter, or to choose the best of several."
    if low <= 0.5:
        use = "Not shown to be better than chance: do not rank by it yet."
    span = "" if high is None else f"95 % interval {low:.0%} to {high:.0%}; "
    return (
        "Ranking: a good response scores above a bad one",
        f"{value:.0%} of the time",
        f"{span}chance is 50%; {source}",
        use,
    )


def _level(metrics: Metrics, source: str) -> Tile:
    """Whether P(preferred) is of use as a probability."""
    e, title = metrics.get("r2"), "Level: variance of the labels that P(preferred) explains"
    if e is None or e.value is None:
        return (
            title,
            UNKNOWN,
            "no gold label and no clean test",
            "Use the order of the scores; their level as a probability is unchecked.",
        )
    span = "" if e.low is None else f"R2 {e.value:.2f} [{e.low:.2f}, {e.high:.2f}], {source}"
    if needs_calibration(metrics):
        use = "Worse than one constant for all: use the order only, or calibrate."
    elif e.low is not None and e.low <= 0:
        use = "Not told from 0 by these labels: rely on the order, or collect more labels."
    elif biased(metrics):
        use = (
            "Informative, but shifted on average: calibrate it before you use it as a probability."
        )
    else:
        use = "Use it as a probability, such as for thresholds and averages."
    return title, "none" if needs_calibration(metrics) else f"{e.value:.0%}", span, use


def biased(metrics: Metrics) -> bool:
    """Return whether the interval of the mean of P(preferred) minus the label excludes 0.

    Parameters
    ----------
    metrics : mapping of str to Estimate
        With ``bias`` where labels are known.

    """
    e = metrics.get("bias")
    return e is not None and e.low is not None and e.high is not None and (e.low > 0 or e.high < 0)


def _beside(model: RewardModel) -> Tile:
    """The ranking beside that of naive on held-out ratings, else the amount of feedback."""
    held, title = held_out(model), "Beside naive: difference of AUROC on held-out ratings"
    rated, rows = model.report["rated"]["train"], model.report["rows"]["train"]
    if held is None or model.method == "naive":
        return (
            "Feedback of the fit",
            f"{rated:,}",
            f"of {rows:,} responses",
            "More feedback makes the ranking surer; gold labels make the level surer.",
        )
    use = (
        "Ranks about as well as naive, which takes the feedback as it is; compare the levels, too."
    )
    if held["low"] == held["high"] == 0:
        use = "Its ranking is that of naive, which takes the feedback as it is; compare the levels."
    elif held["low"] > 0:
        use = "Ranks better than naive, which takes the feedback as it is."
    elif held["high"] < 0:
        use = "Ranks worse than naive on the log's own ratings: compare both on gold labels."
    span = f"95 % interval {held['low']:+.3f} to {held['high']:+.3f}, {held['rated']:,} ratings"
    return title, f"{held['difference']:+.3f}", span, use


def held_out(model: RewardModel) -> dict[str, Any] | None:
    """Return the comparison on held-out ratings in the record of the fit; None where it is not whole.

    Parameters
    ----------
    model : RewardModel
        The model, whose record somebody else may have written.

    """
    names = ("rated", "auroc", "auroc_low", "auroc_high", "difference", "low", "high", "spread")
    held = model.report.get("held_out")
    if not isinstance(held, dict) or not all(isinstance(held.get(k), int | float) for k in names):
        return None
    return held
