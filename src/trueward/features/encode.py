"""From a log or a test to what methods and metrics take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, overload

import torch

from trueward.errors import UsageError
from trueward.log import Log, Test

from . import backbones
from .cache import Cache, default_folder, key_of
from .columns import feedback_of, labelled_of
from .precomputed import precomputed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from trueward.data import Feedback, Labelled

    from .backbones import Backbone

BLOCK = 4096  # rows in one file of the cache


@overload
def encode(
    table: Log,
    backbone: str | Backbone = ...,
    *,
    cache: str | Path | bool | None = ...,
    progress: bool = ...,
) -> Feedback: ...
@overload
def encode(
    table: Test,
    backbone: str | Backbone = ...,
    *,
    cache: str | Path | bool | None = ...,
    progress: bool = ...,
) -> Labelled: ...
def encode(
    table: Log | Test,
    backbone: str | Backbone = "wordllama",
    *,
    cache: str | Path | bool | None = None,
    progress: bool = True,
) -> Feedback | Labelled:
    """Turn the texts of a log into Feedback, those of a test into Labelled.

    backbone: a name, the JSON of a spec, an object, or ``precomputed:PATH``. cache: a folder,
    False for none, None for the default one. progress: a bar, on a terminal only. The features are
    float16, and the same bits whether they come from the cache or not.
    """
    if not isinstance(table, Log | Test):
        raise UsageError(
            f"encode takes a Log or a Test, not {type(table).__name__}: read it with read_log or "
            "read_test first"
        )
    if isinstance(backbone, str) and backbone.startswith("precomputed:"):
        return precomputed(backbone.removeprefix("precomputed:"), table)
    model = backbones.backbone(backbone) if isinstance(backbone, str) else backbone
    folder = default_folder() if cache is None or cache is True else cache
    store = Cache(Path(folder).expanduser()) if folder is not False else None
    prompts, responses = table.frame["prompt"].to_list(), table.frame["response"].to_list()
    x = features(model, prompts, responses, store, progress=progress)
    if isinstance(table, Log):
        return feedback_of(table, x, model.spec())
    return labelled_of(table, x, model.spec())


def features(
    model: Backbone,
    prompts: Sequence[str],
    responses: Sequence[str],
    store: Cache | None,
    *,
    progress: bool = False,
) -> Tensor:
    """Give float16 (n, width), block by block into one tensor, so that memory is bounded by it."""
    n, spec = len(prompts), model.spec()
    x = torch.empty(n, model.width, dtype=torch.float16)
    blocks = [slice(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    for part in _shown(blocks, progress=progress):
        p, r = prompts[part], responses[part]
        key = key_of(spec, p, r) if store else ""
        if store and store.read_into(key, x[part]):
            continue
        x[part] = model.encode(p, r)
        if store:
            store.write(key, x[part])
    return x


def _shown(blocks: list[slice], *, progress: bool) -> Iterable[slice]:
    if not progress or len(blocks) < 2 or not sys.stderr.isatty():
        return blocks
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    return track(blocks, "features", console=Console(stderr=True), transient=True)
