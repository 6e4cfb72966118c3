"""Fill the cache of features ahead of a fit: in shards, in a queue of processes, or on a Ray cluster."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch

from trueward.core.errors import NotWrittenError, TruewardError
from trueward.core.ray_cluster import Cluster
from trueward.core.work_parts import WorkParts

from .backbones import backbone, identity
from .cache import Cache, block_key
from .encoding import blocks_of, encode_block, log_warnings, with_progress_bar
from .named_servers import ALLOWED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .backbones import Backbone

LOG = logging.getLogger("trueward")


class FillCount(NamedTuple):
    """Result of `fill` for one shard of a table."""

    #: blocks that this call encoded
    encoded: int
    #: blocks that were in the cache before
    cached: int
    #: rows of the shard
    rows: int


def fill(
    model: Backbone,
    prompts: Sequence[str],
    responses: Sequence[str],
    store: Cache,
    *,
    shard: tuple[int, int] = (1, 1),
    queue: bool = False,
    ray: Cluster | str | None = None,
    progress: bool = False,
) -> FillCount:
    """Encode the blocks of one shard that the cache lacks, or, with a queue, those that no other process has.

    Each block is written as soon as it is encoded, so that an interrupted call can be resumed.

    Parameters
    ----------
    model : Backbone
        Backbone to encode with.
    prompts, responses : sequence of str, length n
        Texts of the whole table.
    store : Cache
        Cache to fill.
    shard : (int, int), default (1, 1)
        (i, N): every N-th block, beginning with the i-th; i counts from 1.
    queue : bool, default False
        Claim one block after the other, so that any number of processes that share the cache encode the
        table together; blocks of a process that died are taken over. The call returns when all are encoded.
    ray : Cluster, str or None
        Encode in actors of a Ray cluster: its address, ``local`` for one on this machine, or a
        `trueward.scale.Cluster`. All nodes must see the folder of the cache.
    progress : bool, default False
        Show a progress bar if the process runs in a terminal.

    Returns
    -------
    FillCount
        Number of blocks encoded now, of blocks already in the cache, and of rows.

    Raises
    ------
    NotWrittenError
        If the cache cannot be written.
    TruewardError
        If a node of the cluster has another version, another backbone or another folder.

    """
    i, shards = shard
    counts = [0, 0, 0]
    blocks = blocks_of(len(prompts))[i - 1 :: shards]

    def add(number: int) -> str:
        part = blocks[number]
        cached, key = _filled(model, store, prompts[part], responses[part], part.start)
        counts[int(cached)] += 1
        counts[2] += part.stop - part.start
        return key

    if (cluster := Cluster.of(ray)) is not None:
        begin = partial(_block_filler, model.spec(), store.folder.resolve(), frozenset(ALLOWED))
        items = [(prompts[b], responses[b], b.start) for b in blocks]
        store.folder.mkdir(parents=True, exist_ok=True)
        found = cluster.results(begin, items)
        for cached, rows, warnings in with_progress_bar(found, len(items), progress=progress):
            counts[int(cached)] += 1
            counts[2] += rows
            for warning in warnings:
                LOG.warning("%s", warning)
    elif queue:
        table = block_key(str(identity(model.spec())), prompts, responses)
        parts = WorkParts.open(store.folder / "queues" / table[:32], len(blocks), ".key", {})
        parts.run(lambda number, path: path.write_text(add(number), "ascii"), lambda _: None)
        parts.finish(lambda _: None)
    else:
        for number in with_progress_bar(range(len(blocks)), len(blocks), progress=progress):
            add(number)
    log_warnings(model)
    return FillCount(*counts)


def _filled(
    model: Backbone, store: Cache, prompts: Sequence[str], responses: Sequence[str], first: int
) -> tuple[bool, str]:
    """Encode a block if the cache lacks it; return whether it was there, and its key."""
    key = block_key(str(identity(model.spec())), prompts, responses)
    if store.read_into(key, torch.empty(len(prompts), model.width, dtype=torch.float16)):
        return True, key
    store.write(key, encode_block(model, prompts, responses, first))
    if not store.path(key).is_file():
        raise NotWrittenError(
            f"features cannot be cached, because {store.folder} cannot be written: free disk "
            "space, or set TRUEWARD_CACHE to a writable folder"
        )
    return False, key


def _block_filler(
    spec: str, folder: Path, allowed: frozenset[str]
) -> Callable[[tuple[Sequence[str], Sequence[str], int]], tuple[bool, int, list[str]]]:
    """Return what encodes one block in an actor, if it has the same backbone and sees the cache."""
    if not folder.is_dir():
        raise TruewardError(
            f"the node {socket.gethostname()} does not see {folder}, where the features are written: set "
            "TRUEWARD_CACHE to a folder that all nodes share"
        )
    ALLOWED.update(allowed)
    model, store = backbone(spec), Cache(folder)

    def work(block: tuple[Sequence[str], Sequence[str], int]) -> tuple[bool, int, list[str]]:
        cached, _ = _filled(model, store, *block)
        return cached, len(block[0]), model.collect_warnings()

    return work
