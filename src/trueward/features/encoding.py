"""Encode the texts of a log or a test as features, block by block through the cache."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from trueward.core.arguments import FLAG, PATH, TEXT, Kind, described, require_kinds
from trueward.core.errors import UsageError
from trueward.data.log import Log
from trueward.data.truth import Test

from . import backbones
from .cache import Cache, block_key, default_cache_folder
from .columns import to_feedback, to_labelled
from .feature_table import feature_table, memory_size
from .precomputed_features import precomputed
from .texts import BadRowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from trueward.data.feedback import Feedback, Labelled

    from .backbones import Backbone

T = TypeVar("T")
BACKBONE = Kind("a name or a Backbone", lambda v: isinstance(v, str | backbones.Backbone))
CACHE = Kind("a path, True or False", lambda v: isinstance(v, bool) or PATH.admits(v))
LOG = logging.getLogger("trueward")
BLOCK = 1024  # rows of one file of the cache: an interrupted run loses one block at most


@overload
def encode(
    table: Log,
    backbone: str | Backbone = ...,
    *,
    cache: str | Path | bool | None = ...,
    memory: str | None = ...,
    progress: bool = ...,
) -> Feedback: ...
@overload
def encode(
    table: Test,
    backbone: str | Backbone = ...,
    *,
    cache: str | Path | bool | None = ...,
    memory: str | None = ...,
    progress: bool = ...,
) -> Labelled: ...
def encode(
    table: Log | Test,
    backbone: str | Backbone = "wordllama",
    *,
    cache: str | Path | bool | None = None,
    memory: str | None = None,
    progress: bool = True,
) -> Feedback | Labelled:
    """Encode the texts of a log as Feedback, those of a test as Labelled.

    Parameters
    ----------
    table : Log or Test
        Rows with ``prompt`` and ``response``, from `read_log` or `read_test`.
    backbone : str or Backbone, default "wordllama"
        Name of a backbone, the JSON of its ``spec()``, a `Backbone` object, or ``precomputed:PATH``.
        A name is ``wordllama``, the folder or hub name of a transformers model, or ``http://HOST/v1``.
    cache : str, Path, bool or None, default None
        Folder of the cache. None and True select the default folder, False disables the cache.
    memory : str or None, default None
        Memory that may be used, such as ``"8GB"``; None is what is free on this machine. Features that would
        take more than a quarter of it stay on disk, in the folder of the cache.
    progress : bool, default True
        Show a progress bar if the process runs in a terminal.

    Returns
    -------
    Feedback or Labelled
        ``x`` is float16 (n, width). Its bits do not depend on whether the cache was used.

    Raises
    ------
    UsageError
        If ``table`` is neither a Log nor a Test, or the backbone is unknown.
    TruewardError
        If the backbone is unavailable or a row cannot be encoded.

    Examples
    --------
    >>> import polars as pl
    >>> import trueward as tw
    >>> rows = {"prompt": ["2 + 2?", "Hi"], "response": ["4", "Hello."], "feedback": [1, None]}
    >>> data = tw.encode(tw.read_log(pl.DataFrame(rows)), cache=False)
    >>> data.x.shape, data.x.dtype
    (torch.Size([2, 5376]), torch.float16)
    >>> data.y
    tensor([1., 0.])

    """
    if not isinstance(table, Log | Test):
        raise UsageError(f"encode takes what read_log or read_test gives, not {described(table)}")
    require_kinds("encode", backbone=(backbone, BACKBONE), memory=(memory, TEXT.or_none))
    require_kinds("encode", progress=(progress, FLAG), cache=(cache, CACHE.or_none))
    if isinstance(backbone, str) and backbone.startswith("precomputed:"):
        return precomputed(backbone.removeprefix("precomputed:"), table)
    model = backbones.backbone(backbone) if isinstance(backbone, str) else backbone
    store = None if cache is False else cached_in(None if cache is True else cache)
    prompts, responses = table.frame["prompt"].to_list(), table.frame["response"].to_list()
    size = None if memory is None else memory_size(memory)
    x = features(model, prompts, responses, store, memory=size, progress=progress)
    if isinstance(table, Log):
        return to_feedback(table, x, model.spec())
    return to_labelled(table, x, model.spec())


def features(
    model: Backbone,
    prompts: Sequence[str],
    responses: Sequence[str],
    store: Cache | None,
    *,
    memory: int | None = None,
    progress: bool = False,
) -> Tensor:
    """Encode pairs of texts, reading and writing the cache block by block.

    Parameters
    ----------
    model : Backbone
        Backbone that computes the blocks which the cache lacks.
    prompts, responses : sequence of str, length n
        Texts of the rows.
    store : Cache or None
        Cache; None computes all rows.
    memory : int or None, default None
        Bytes that may be used, see `trueward.features.feature_table.feature_table`.
    progress : bool, default False
        Show a progress bar if the process runs in a terminal.

    Returns
    -------
    Tensor of float16, (n, width)

    Raises
    ------
    BadRowError
        If a row has no finite features; the message gives its number in the table.

    """
    n, spec = len(prompts), str(backbones.identity(model.spec()))
    x = feature_table(n, model.width, store.folder if store else None, memory)
    blocks = blocks_of(n)
    for part in with_progress_bar(blocks, len(blocks), progress=progress):
        p, r = prompts[part], responses[part]
        key = block_key(spec, p, r) if store else ""
        if store and store.read_into(key, x[part]):
            continue
        x[part] = encode_block(model, p, r, part.start)
        if store:
            store.write(key, x[part])
    log_warnings(model)
    return x


def cached_in(folder: str | Path | None = None) -> Cache:
    """Return the cache in ``folder``; None selects the default folder.

    Parameters
    ----------
    folder : str, Path or None
        Folder of the cache; ``~`` is the home folder.

    Returns
    -------
    Cache
        The cache; no file is read yet.

    """
    return Cache(default_cache_folder() if folder is None else Path(folder).expanduser())


def blocks_of(n: int) -> list[slice]:
    """Return the rows of each block of a table with ``n`` rows."""
    return [slice(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]


def encode_block(
    model: Backbone, prompts: Sequence[str], responses: Sequence[str], first_row: int
) -> Tensor:
    """Encode a block; an error names the row of the whole table."""
    try:
        return model.encode(prompts, responses)
    except BadRowError as e:
        raise e.shifted(first_row) from e


def log_warnings(model: Backbone) -> None:
    """Log what a backbone has to say about the rows since the last call."""
    for warning in model.collect_warnings():
        LOG.warning("%s", warning)


def with_progress_bar(steps: Iterable[T], count: int, *, progress: bool) -> Iterable[T]:
    """Return the steps, with a progress bar over ``count`` of them if the process runs in a terminal."""
    if not progress or count < 2 or not sys.stderr.isatty():
        return steps
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import track  # noqa: PLC0415

    return track(steps, "features", total=count, console=Console(stderr=True), transient=True)
