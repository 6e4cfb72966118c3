"""A scoring process: loads one model, reads texts from standard input, and answers on standard output.

The server starts it as ``python -m trueward.production.serving.worker FOLDER``. A crash, a full memory or a
hanging device ends or blocks this process alone: the server starts another and scores the same texts again.
"""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING, Any

from trueward.core.errors import TruewardError

from .frames import packed, read
from .logs import to_stderr
from .reading_limit import ReadingLimit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from trueward.model.reward_model import RewardModel

MEMORY, TEXT, OTHER = "memory", "text", "other"  # kinds of failure of a batch


def main(folder: str, endpoints: Sequence[str]) -> None:
    """Answer batches until standard input ends.

    Parameters
    ----------
    folder : str
        The model.
    endpoints : sequence of str
        Embeddings servers that the model may send texts to.

    """
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between messages
    to_stderr("error")  # truncated texts are counted in the metrics
    batches = sys.stdin.buffer

    def send(value: Any) -> None:
        out.write(packed(value))
        out.flush()

    try:
        model, about = _load(folder, endpoints)
    except (TruewardError, MemoryError, RuntimeError, OSError) as e:
        send({"failed": _sentence(e)})
        return
    send(about)
    limit = ReadingLimit.of(model.backbone)
    while True:
        try:
            batch = read(batches)
        except EOFError:
            return
        send(answered(model, limit, batch))


def _load(folder: str, endpoints: Sequence[str]) -> tuple[RewardModel, dict[str, Any]]:
    from trueward.features.named_servers import allow_endpoint  # noqa: PLC0415 - after the signals are set
    from trueward.model.reward_model import load  # noqa: PLC0415

    from .description import described  # noqa: PLC0415

    for address in endpoints:
        allow_endpoint(address)
    model = load(folder)
    about = described(folder, model)
    model.score(["Hello."], ["Hello."])  # loads the weights and compiles what is compiled
    return model, about


def answered(
    model: RewardModel, limit: ReadingLimit, batch: dict[str, list[Any]]
) -> dict[str, Any]:
    """Score a batch of texts.

    Parameters
    ----------
    model : RewardModel
        The model.
    limit : ReadingLimit
        What it reads of a text.
    batch : dict
        The fields of `Text` as columns.

    Returns
    -------
    dict
        The fields of `Answer` as columns, with ``too_long``: the size of each text that is refused, else
        None. Or ``failed`` and ``kind``.

    """
    import torch  # noqa: PLC0415 - the module is imported to read its constants, too

    try:
        return _scored(model, limit, batch)
    except (torch.OutOfMemoryError, MemoryError):
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return {"failed": "not enough memory", "kind": MEMORY}
    except TruewardError as e:
        memory = "does not fit into the memory" in str(e)
        return {"failed": _sentence(e), "kind": MEMORY if memory else TEXT}
    except Exception as e:  # noqa: BLE001 - the process outlives every batch
        if "memory" in str(e).lower():
            return {"failed": "not enough memory", "kind": MEMORY}
        return {"failed": type(e).__name__, "kind": OTHER}


def _scored(model: RewardModel, limit: ReadingLimit, batch: dict[str, list[Any]]) -> dict[str, Any]:
    prompts, responses = batch["prompt"], batch["response"]
    sizes = limit.excess(prompts, responses)
    refused = [
        s if s is not None and not cut else None
        for s, cut in zip(sizes, batch["truncate"], strict=True)
    ]
    kept = [i for i, size in enumerate(refused) if size is None]
    if len(kept) < len(prompts):
        prompts, responses = [prompts[i] for i in kept], [responses[i] for i in kept]
    scores = model.score(prompts, responses) if kept else None
    found: dict[str, list[Any]] = {}
    for name in ("reward", "preferred", "spread", "out_of_distribution", "low", "high"):
        found[name] = _spread_out(getattr(scores, name, None), kept, len(refused))
    decided = _decisions(
        model,
        None if scores is None else scores.preferred,
        [(batch["level"][i], batch["by_class"][i]) for i in kept],
    )
    found["decision"] = _spread_out(decided, kept, len(refused))
    found["truncated"] = [s is not None for s in sizes]
    return {**found, "too_long": refused}


def _decisions(
    model: RewardModel, p: Tensor | None, asked: list[tuple[float | None, bool]]
) -> list[int | None]:
    """1, 0, or None for each text, at the level that its request gave."""
    decided: list[int | None] = [None] * len(asked)
    for level, by_class in set(asked):
        if level is None or p is None or model.calibration is None:
            continue
        rows = [i for i, a in enumerate(asked) if a == (level, by_class)]
        for i, d in zip(
            rows, model.calibration.decide(p[rows], level, by_class=by_class).tolist(), strict=True
        ):
            decided[i] = None if d < 0 else int(d)
    return decided


def _spread_out(values: Tensor | list[Any] | None, kept: list[int], n: int) -> list[Any]:
    """Values of the kept rows at their places; None elsewhere, and for what is not finite."""
    row: list[Any] = [None] * n
    if values is None:
        return row
    for i, v in zip(kept, values if isinstance(values, list) else values.tolist(), strict=True):
        row[i] = v if v is None or math.isfinite(v) else None
    return row


def _sentence(e: BaseException) -> str:
    return (
        str(e)
        if isinstance(e, TruewardError)
        else f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
