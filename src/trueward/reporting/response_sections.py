"""Sections on the scores: their distribution, the best and worst responses, disagreement of models."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trueward.core.errors import TruewardError
from trueward.evaluation import metrics

from .charts import distribution
from .page import Example, Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from .inputs import ReportInputs
    from .page import Block

SHOWN = 5  # responses at either end of the ranking
LONGEST = 1200  # characters of a text that are shown
KINDS = ("good by feedback", "bad by feedback", "without feedback")


def score_distribution(inputs: ReportInputs) -> Iterator[Block]:
    """Yield histograms of P(preferred) on the log, by feedback or, for several models, by model.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A figure, and a sentence where responses are out of distribution.

    Raises
    ------
    TruewardError
        If there is no log, or a model gives no score or cannot read text.

    """
    parts: dict[str, Tensor] = {}
    w, weights = inputs.weight, dict[str, Any]()
    for name in inputs.models:
        p = _score(inputs, name)
        if len(inputs.models) > 1:
            parts[name] = p
            weights |= {} if w is None else {name: w}
            continue
        feedback = inputs.table.frame["feedback"].fill_null(float("nan")).to_numpy()
        kinds = (feedback > 0.5, feedback <= 0.5, np.isnan(feedback))
        parts = {k: p[torch.from_numpy(m)] for k, m in zip(KINDS, kinds, strict=True) if m.any()}
        weights = {} if w is None else {k: w[m] for k, m in zip(KINDS, kinds, strict=True)}
    yield distribution(
        {what: p.double().numpy() for what, p in parts.items()},
        "P(preferred)",
        "Scores of the logged responses",
        "Quantiles of P(preferred)",
        weights or None,
    )
    far = {name: int(inputs.scores(name).far.sum()) for name in inputs.models}
    for count in dict.fromkeys(far.values()):
        names = ", ".join(name for name, c in far.items() if c == count)
        if count:
            yield Prose(
                f"{names}: {count:,} responses are out of distribution, farther out than 999 of 1,000 rows "
                "of the fit. Scores of such texts are unreliable."
            )


def best_and_worst(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the responses with the highest and the lowest scores of the first model.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        At most 5 responses of either end.

    Raises
    ------
    TruewardError
        If there is no log, or a model gives no score or cannot read text.

    """
    name = next(iter(inputs.models))
    order = torch.argsort(_score(inputs, name), descending=True, stable=True)
    count = min(SHOWN, len(order) // 2)
    for k, row in enumerate(order[:count].tolist()):
        yield _example(inputs, f"Best {k + 1}", row)
    for k, row in enumerate(order.flip(0)[:count].tolist()):
        yield _example(inputs, f"Worst {k + 1}", row)


def agreement(inputs: ReportInputs) -> Iterator[Block]:
    """Yield the rank correlation of every two models on the log, and where they disagree most.

    Parameters
    ----------
    inputs : ReportInputs
        Models, log and test of the report.

    Yields
    ------
    Block
        A table of the pairs of models, and the 5 largest differences.

    Raises
    ------
    TruewardError
        If there is no log, or a model gives no score or cannot read text.

    """
    p = {name: _score(inputs, name).double().numpy() for name in inputs.models}
    w = inputs.weight
    one = np.ones(len(inputs.table)) if w is None else w
    rows = []
    for a, b in combinations(p, 2):
        rank, gap = metrics.spearman(p[a], p[b], one)[0], np.average(abs(p[a] - p[b]), weights=w)
        rows.append([f"{a}, {b}", f"{rank:.3f}", f"{gap:.3f}"])
    head = ["models", "rank correlation", "mean difference of P"]
    yield Table("Agreement on the logged responses", head, rows)
    apart = np.ptp(np.stack(list(p.values())), axis=0)
    for k, row in enumerate(np.argsort(-apart, kind="stable")[:SHOWN].tolist()):
        yield _example(inputs, f"Largest difference {k + 1}", row)


def _score(inputs: ReportInputs, name: str) -> Tensor:
    """P(preferred), or the lower end of its interval."""
    scores = inputs.scores(name)
    values = scores.low if scores.preferred is None else scores.preferred
    if values is None:
        raise TruewardError(f"{name} gives neither a score nor an interval")
    return values


def _example(inputs: ReportInputs, title: str, row: int) -> Example:
    logged: dict[str, Any] = inputs.table.frame.row(row, named=True)
    facts = [
        (f"P, {name}" if len(inputs.models) > 1 else "P", f"{float(_score(inputs, name)[row]):.3f}")
        for name in inputs.models
    ]
    words = {1.0: "good", 0.0: "bad", None: "none"}
    facts.append(("feedback", words.get(logged["feedback"], str(logged["feedback"]))))
    if logged.get("gold") is not None:
        facts.append(("gold label", f"{logged['gold']:g}"))
    facts += [
        (k.removeprefix("channel."), f"{v:g}")
        for k, v in logged.items()
        if k.startswith("channel.") and v is not None
    ]
    return Example(title, facts, truncated(logged["prompt"]), truncated(logged["response"]))


def truncated(text: str) -> str:
    """Cut a text after 1,200 characters, and state how many more there are.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str
        The text, or its start and the number of characters left out.

    """
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]} … ({left:,} more characters)"
