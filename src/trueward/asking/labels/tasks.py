"""The responses to label as tasks of labelling tools, in which the chance of each draw survives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.suggest import suggestion
from trueward.data.digests import text_id

if TYPE_CHECKING:
    from .batch import Batch, Item

#: Tool -> what to do with the file, and how its export comes back.
HOW = {
    "label-studio": (
        'import the file into a project with <Choices name="label"> of good and bad, export JSON, then: '
        "trueward import labelstudio EXPORT --map thumbs=label --out audit/"
    ),
    "argilla": (
        "log the records to a dataset with the label question `label` (good, bad) and the float metadata "
        "`gold_weight`, export flattened, then: trueward import argilla EXPORT --map thumbs=label --out "
        "audit/"
    ),
    "langfuse": (
        "POST the file to /api/public/ingestion, add the traces to an annotation queue with the score "
        "`label` (good, bad), export traces and scores, then: trueward import langfuse EXPORT --map "
        "thumbs=label --out audit/"
    ),
}
START = "1970-01-01T00:00:00.000Z"  # Langfuse needs a time, and a batch has none


def task_file(batch: Batch, tool: str) -> str:
    """Return the text of a file of tasks: no score and no feedback, each response once.

    Parameters
    ----------
    batch : Batch
        The responses.
    tool : {"label-studio", "argilla", "langfuse"}
        Label Studio's basic JSON tasks, records of Argilla 2, or an ingestion batch of Langfuse traces.

    Returns
    -------
    str
        JSON. The import of the tool's export gives the columns ``gold`` and ``gold_weight``.

    Raises
    ------
    UsageError
        If there is no such tool.

    Examples
    --------
    >>> import polars as pl
    >>> from trueward.asking.labels.batch import read_batch
    >>> batch = read_batch(pl.DataFrame({"prompt": ["Hi"], "response": ["Hello!"], "gold_weight": [4.0]}))
    >>> json.loads(task_file(batch, "label-studio"))[0]["data"]["gold_weight"]
    4.0

    """
    makers = {"label-studio": _label_studio, "argilla": _argilla, "langfuse": _langfuse}
    if tool not in makers:
        raise UsageError(f"there are no tasks for {tool!r}: {suggestion(tool, makers)}")
    made = [makers[tool](batch, item) for item in batch.items]
    whole: Any = {"batch": made} if tool == "langfuse" else made
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _weight(item: Item) -> dict[str, float]:
    return {} if item.gold_weight is None else {"gold_weight": item.gold_weight}


def _label_studio(batch: Batch, item: Item) -> dict[str, Any]:
    texts = {"prompt": item.prompt, "response": item.response}
    ids = {"item": item.item, "batch": batch.digest, "labels": item.labels}
    return {"data": {**texts, **_weight(item), **ids}}


def _argilla(batch: Batch, item: Item) -> dict[str, Any]:
    fields = {"prompt": item.prompt, "response": item.response}
    return {"id": f"{batch.digest}-{item.item}", "fields": fields, "metadata": _weight(item)}


def _langfuse(batch: Batch, item: Item) -> dict[str, Any]:
    trace = text_id(f"{batch.digest} {item.item}", 32)
    weight = {f"trueward.{name}": value for name, value in _weight(item).items()}
    body = {
        "id": trace,
        "timestamp": START,
        "name": "label",
        "input": item.prompt,
        "output": item.response,
        "metadata": {**weight, "batch": batch.digest},
        "tags": ["label"],
    }
    return {"id": text_id(trace, 32), "type": "trace-create", "timestamp": START, "body": body}
