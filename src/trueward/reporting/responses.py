"""What the scores look like: their spread, the best and the worst responses, where models differ."""

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

    from .page import Block
    from .seen import Seen

SHOWN = 5  # responses at either end
LONGEST = 1200  # characters of a text
KINDS = ("good by feedback", "bad by feedback", "without feedback")


def spread(seen: Seen) -> Iterator[Block]:
    """Histogram of P(preferred) on the log, by what users said, or by model."""
    parts: dict[str, Tensor] = {}
    for name in seen.models:
        p = _position(seen, name)
        if len(seen.models) > 1:
            parts[name] = p
            continue
        feedback = seen.table.frame["feedback"].fill_null(float("nan")).to_numpy()
        kinds = (feedback > 0.5, feedback <= 0.5, np.isnan(feedback))
        parts = {k: p[torch.from_numpy(m)] for k, m in zip(KINDS, kinds, strict=True) if m.any()}
    yield distribution(
        {what: p.double().numpy() for what, p in parts.items()},
        "P(preferred)",
        "Scores of the logged responses",
        "Quantiles of P(preferred)",
    )
    far = {name: int(seen.scores(name).out_of_distribution.sum()) for name in seen.models}
    for count in dict.fromkeys(far.values()):
        names = ", ".join(name for name, c in far.items() if c == count)
        if count:
            yield Prose(
                f"{names}: {count:,} responses lie farther out than all but one in a thousand of the rows "
                "that were fitted. Of such text the model knows nothing."
            )


def ends(seen: Seen) -> Iterator[Block]:
    """The best and the worst scored responses of the first model."""
    name = next(iter(seen.models))
    order = torch.argsort(_position(seen, name), descending=True, stable=True)
    count = min(SHOWN, len(order) // 2)
    for k, row in enumerate(order[:count].tolist()):
        yield _example(seen, f"Best {k + 1}", row)
    for k, row in enumerate(order.flip(0)[:count].tolist()):
        yield _example(seen, f"Worst {k + 1}", row)


def agreement(seen: Seen) -> Iterator[Block]:
    """Rank correlation of every two models on the log, and the responses they disagree on most."""
    p = {name: _position(seen, name).double().numpy() for name in seen.models}
    one = np.ones((1, len(seen.table)))
    rows = []
    for a, b in combinations(p, 2):
        rank, gap = metrics.spearman(p[a], p[b], one)[0], np.abs(p[a] - p[b]).mean()
        rows.append([f"{a}, {b}", f"{rank:.3f}", f"{gap:.3f}"])
    head = ["models", "rank correlation", "mean difference of P"]
    yield Table("Agreement on the logged responses", head, rows)
    apart = np.ptp(np.stack(list(p.values())), axis=0)
    for k, row in enumerate(np.argsort(-apart, kind="stable")[:SHOWN].tolist()):
        yield _example(seen, f"Largest difference {k + 1}", row)


def _position(seen: Seen, name: str) -> Tensor:
    """P(preferred), or the lower end of its interval."""
    scores = seen.scores(name)
    found = scores.low if scores.preferred is None else scores.preferred
    if found is None:
        raise TruewardError(f"{name} gives neither a score nor an interval")
    return found


def _example(seen: Seen, title: str, row: int) -> Example:
    logged: dict[str, Any] = seen.table.frame.row(row, named=True)
    facts = [
        (f"P, {name}" if len(seen.models) > 1 else "P", f"{float(_position(seen, name)[row]):.3f}")
        for name in seen.models
    ]
    said = {1.0: "good", 0.0: "bad", None: "none"}
    facts.append(("feedback", said.get(logged["feedback"], str(logged["feedback"]))))
    if logged.get("gold") is not None:
        facts.append(("gold label", f"{logged['gold']:g}"))
    facts += [
        (k.removeprefix("channel."), f"{v:g}")
        for k, v in logged.items()
        if k.startswith("channel.") and v is not None
    ]
    return Example(title, facts, short(logged["prompt"]), short(logged["response"]))


def short(text: str) -> str:
    """At most so many characters, and how many more there are."""
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]} … ({left:,} more characters)"
