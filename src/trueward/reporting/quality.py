"""How good the models are: figures with intervals, calibration curves, recovered truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueward.plotting import lines, spans

from .charts import figure
from .page import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from trueward.evaluation.bootstrap import Estimate

    from .page import Block
    from .seen import Seen

    Array = NDArray[np.float64]

BINS = 10  # of a calibration curve, with as many responses each
FEWEST = 20  # responses of a bin
LEVELS = 10  # ratings that are shown one by one
DRAWN = ("auroc", "pair_accuracy", "r2", "brier")


def on_test(seen: Seen) -> Iterator[Block]:
    """Figures on clean truth."""
    found = {name: seen.metrics(name) for name in seen.models}
    one = next(iter(found.values()))
    yield Prose(
        f"On {one.rows:,} clean responses to {one.prompts:,} prompts, with 95 % intervals over prompts."
    )
    yield from _figures(found, "Figures on the clean test")


def on_gold(seen: Seen) -> Iterator[Block]:
    """Figures on the logged responses by a few gold labels and all the log says."""
    found = {name: seen.audit(name) for name in seen.models}
    one = next(iter(found.values()))
    yield Prose(
        f"Of {one.rows:,} logged responses {one.gold:,} have a gold label. The log predicts the other "
        "labels, and the gold labels correct the mean of what it predicts: right whatever that is worth."
    )
    yield from _figures(found, "Figures on the logged responses")
    for name, audit in found.items():
        yield from (Prose(f"{name}: {w}.") for w in audit.warnings)


def _figures(found: Mapping[str, Mapping[str, Estimate]], caption: str) -> Iterator[Block]:
    names = list(dict.fromkeys(k for metrics in found.values() for k in metrics))
    cells = [[k, *(str(metrics.get(k, "-")) for metrics in found.values())] for k in names]
    table = Table(caption, ["figure", *found], cells)
    rows = [
        {
            "name": k.replace("_", " "),
            "series": model,
            "value": e.value,
            "low": e.low,
            "high": e.high,
        }
        for k in DRAWN
        for model, metrics in found.items()
        if (e := metrics.get(k)) is not None and e.low is not None and e.value is not None
    ]
    yield table
    if rows:
        yield figure(spans, rows, "value", caption=f"{caption}: some of them, with 95 % intervals")


def calibration(seen: Seen) -> Iterator[Block]:
    """P(preferred) against how often responses are good."""
    if seen.test is not None and "label" in seen.test.columns:
        truth = {name: seen.truth(name) for name in seen.models}
        what = "clean labels"
        sets = {n: (seen.preferred(n, "test"), t.r, t.group) for n, t in truth.items()}
    else:
        sets, what = {}, "gold labels"
        for name in seen.models:
            data = seen.data(name)
            rows = data[data.audited]
            sets[name] = (seen.preferred(name, "log")[data.audited], rows.gold, rows.group)
    points = [
        {"P(preferred)": p, "share that is good": y, "low": low, "high": high, "series": name}
        for name, (score, label, group) in sets.items()
        if label is not None
        for p, y, low, high in reliability(_array(score), _array(label), _ids(group, len(score)))
    ]
    if not points:
        yield Prose(f"Too few {what} for a calibration curve: it takes {2 * FEWEST}.")
        return
    yield figure(
        lines,
        points,
        "P(preferred)",
        "share that is good",
        diagonal=True,
        unit=True,
        caption=f"Calibration on {what}: on the dashed line a score is the chance to be good; bars are 95 % "
        "intervals",
    )


def reliability(p: Array, y: Array, group: Array) -> Iterator[tuple[float, float, float, float]]:
    """Mean of p, mean of y and Wilson's 95 % interval in bins of as many responses each.

    The number of responses in Wilson's formula is y (1 - y) / s^2, s the standard error clustered by prompt,
    and never above that of the bin.
    """
    known = ~np.isnan(y)
    p, y, group = p[known], y[known], group[known]
    count = min(BINS, len(p) // FEWEST)
    if count < 2:
        return
    for rows in np.array_split(np.argsort(p, kind="stable"), count):
        yield (float(p[rows].mean()), *interval(y[rows], group[rows]))


def interval(y: Array, group: Array) -> tuple[float, float, float]:
    """Mean of y in [0, 1], and its ends by Wilson's formula as `reliability` has it."""
    n, m = len(y), float(y.mean())
    own = np.bincount(np.unique(group, return_inverse=True)[1], weights=y - m)
    square = float((own**2).sum()) / n**2
    size = n if square == 0 else min(n, m * (1 - m) / square)
    z = 1.96**2 / max(size, 1.0)
    middle, half = (m + z / 2) / (1 + z), np.sqrt(z * (m * (1 - m) + z / 4)) / (1 + z)
    return m, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def recovered(seen: Seen) -> Iterator[Block]:
    """Mean P(preferred) along the graded quality, where a test has it."""
    points = []
    for name in seen.models:
        truth = seen.truth(name)
        if truth.rating is None:
            continue
        p, quality = _array(seen.preferred(name, "test")), _array(truth.rating)
        ids = _ids(truth.group, len(p))
        for at, rows in levels(quality):
            m, low, high = interval(p[rows], ids[rows])
            points.append(
                {"rating": at, "mean P(preferred)": m, "low": low, "high": high, "series": name}
            )
    if points:
        yield figure(
            lines,
            points,
            "rating",
            "mean P(preferred)",
            caption="What the scores make of the true quality: mean P(preferred) at every rating, with 95 % "
            "intervals",
        )


def levels(quality: Array) -> Iterator[tuple[float, NDArray[np.int64]]]:
    """Every rating with its rows, or of many ratings tenths and their means."""
    known = np.flatnonzero(~np.isnan(quality))
    values = np.unique(quality[known])
    if len(values) <= LEVELS:
        for v in values:
            yield float(v), np.flatnonzero(quality == v)
        return
    for rows in np.array_split(known[np.argsort(quality[known], kind="stable")], LEVELS):
        yield float(quality[rows].mean()), rows


def _array(t: Tensor) -> Array:
    return np.asarray(t.detach().cpu().double().numpy(), dtype=np.float64)


def _ids(group: Tensor | None, n: int) -> Array:
    return np.arange(n, dtype=np.float64) if group is None else _array(group)
