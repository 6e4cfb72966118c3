"""Plans of responses to label, and files as the page of `trueward label` lets annotators download them."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl

from trueward.asking.labels.batch import plan_table
from trueward.asking.labels.label_files import FORMAT


def planned(n, *, weights=False):
    """The file of a plan with n responses."""
    rows = pl.DataFrame(
        {
            "prompt": [f"How do I undo step {i // 2}?" for i in range(n)],
            "response": [f"Press undo {i} times." for i in range(n)],
        }
    )
    if weights:
        rows = rows.with_columns(gold_weight=2 + pl.int_range(n) / 7)
    return plan_table(rows)


def label_file(path, batch, annotator, labels, *, at=datetime(2026, 1, 2, tzinfo=UTC)):
    """Write labels, item -> 1, 0 or the reason of a skip, in the order of the batch; 4 seconds each."""
    lines = []
    for i, item in enumerate(batch.items):
        if item.item not in labels:
            continue
        value = labels[item.item]
        skipped = value if isinstance(value, str) else None
        row = {
            "format": FORMAT,
            "batch": batch.digest,
            "rows": len(batch.items),
            "item": item.item,
            "annotator": annotator,
            "prompt": item.prompt,
            "response": item.response,
            "gold_weight": item.gold_weight,
            "gold": None if skipped else value,
            "skipped": skipped,
            "seconds": 4.0,
            "at": (at + timedelta(seconds=4 * i)).isoformat(),
        }
        lines.append(json.dumps(row) + "\n")
    path.write_text("".join(lines))
    return path
