"""From a log or a test to what methods and metrics take."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

import torch

from trueward.core.errors import NotWrittenError, UsageError
from trueward.data.log import Log, Test

from . import backbones
from .cache import Cache, default_folder, key_of
from .columns import feedback_of, labelled_of
from .precomputed import precomputed
from .texts import BadRowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from trueward.data.feedback import Feedback, Labelled

    from .backbones import Backbone

LOG = logging.getLogger("trueward")
BLOCK = 1024  # rows in one file of the cache: what an interruption loses at most


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

    backbone: a name (see `backbone`), the JSON of a spec, an object, or ``precomputed:PATH``. cache: a
    folder, False for none, None for the default one. progress: a bar, on a terminal only. The features are
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
    store = None if cache is False else cached_in(None if cache is True else cache)
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
    n, spec = len(prompts), str(backbones.identity(model.spec()))
    x = torch.empty(n, model.width, dtype=torch.float16)
    for part in _shown(_blocks(n), progress=progress):
        p, r = prompts[part], responses[part]
        key = key_of(spec, p, r) if store else ""
        if store and store.read_into(key, x[part]):
            continue
        x[part] = _made(model, p, r, part.start)
        if store:
            store.write(key, x[part])
    _tell(model)
    return x


def cached_in(folder: str | Path | None = None) -> Cache:
    """Give the cache in a folder; None for the default one."""
    return Cache(default_folder() if folder is None else Path(folder).expanduser())


class Filled(NamedTuple):
    """Blocks of one shard of a table: made now, and there before."""

    made: int
    there: int
    rows: int


def fill(
    model: Backbone,
    prompts: Sequence[str],
    responses: Sequence[str],
    store: Cache,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: bool = False,
) -> Filled:
    """Make the blocks of a shard (i, N) that the cache lacks: the i-th of every N, i from 1.

    Each block is kept as soon as it is made, so that an interrupted call goes on where it was. Raises
    NotWrittenError where the cache cannot be written.
    """
    i, of = shard
    spec, done = str(backbones.identity(model.spec())), Filled(0, 0, 0)
    for part in _shown(_blocks(len(prompts))[i - 1 :: of], progress=progress):
        p, r = prompts[part], responses[part]
        key, x = key_of(spec, p, r), torch.empty(len(p), model.width, dtype=torch.float16)
        there = store.read_into(key, x)
        if not there:
            store.write(key, _made(model, p, r, part.start))
            if not store.path(key).is_file():
                raise NotWrittenError(
                    f"{store.folder} cannot be written, and features that are not kept are lost: free some "
                    "space, or set TRUEWARD_CACHE to a folder that can be written"
                )
        done = Filled(done.made + (not there), done.there + there, done.rows + len(p))
    _tell(model)
    return done


def _blocks(n: int) -> list[slice]:
    return [slice(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]


def _made(model: Backbone, prompts: Sequence[str], responses: Sequence[str], before: int) -> Tensor:
    try:
        return model.encode(prompts, responses)
    except BadRowError as e:
        raise e.after(before) from e


def _tell(model: Backbone) -> None:
    for remark in model.remarks():
        LOG.warning("%s", remark)


def _shown(blocks: list[slice], *, progress: bool) -> Iterable[slice]:
    if not progress or len(blocks) < 2 or not sys.stderr.isatty():
        return blocks
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    return track(blocks, "features", console=Console(stderr=True), transient=True)
