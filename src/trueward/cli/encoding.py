"""The command `trueward encode`."""

from __future__ import annotations

import os
import re
from typing import Annotated

import typer

from trueward.core.errors import UsageError

from .clusters import NumGpus, Ray, cluster_of
from .common import Backbone, Json, Map, Split, pairs, show_json


def encode(
    table: Annotated[str, typer.Argument(help="A log, or any table of prompt and response.")],
    backbone: Backbone = "wordllama",
    shard: Annotated[
        str | None,
        typer.Option(metavar="i/N", help="Encode only the i-th of N parts of the rows."),
    ] = None,
    queue: Annotated[
        bool,
        typer.Option(
            "--queue", help="Share the rows with all processes that run the same command."
        ),
    ] = False,
    ray: Ray = None,
    num_gpus: NumGpus = 0,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Encode the texts of a log ahead of `fit`; blocks in the cache are not encoded again.

    The features go to the cache ($TRUEWARD_CACHE/features) block by block: after an interruption, run
    the same command again. Processes on one or several machines that share the cache share the work with
    --queue, whatever their number, or each with its own --shard; a Ray cluster shares it with --ray.
    """
    from trueward.data.pairs import read_pairs
    from trueward.features import backbone as backbone_of
    from trueward.features import cached_in, fill

    if queue and shard is not None:
        raise UsageError("--queue and --shard are two ways to share the work: give one of them")
    cluster = cluster_of(ray, num_gpus, queue=queue, shard=shard is not None)
    i, shards = (1, 1) if queue or cluster else _shard(shard)
    if backbone.startswith("precomputed:"):
        raise UsageError(f"{backbone} holds features, not text: give it to fit")
    frame = read_pairs(table, mapping=pairs(mapping, "--map"), split=split)
    model, cache = backbone_of(backbone), cached_in()
    prompts, responses = frame["prompt"].to_list(), frame["response"].to_list()
    progress = shard is not None or i == 1  # one progress bar for all processes of a launcher
    count = fill(
        model,
        prompts,
        responses,
        cache,
        shard=(i, shards),
        queue=queue,
        ray=cluster,
        progress=progress,
    )
    if as_json:
        blocks = {"made": count.encoded, "there": count.cached, "rows": count.rows}
        show_json({**blocks, "cache": str(cache.folder), "backbone": model.spec()})
        return
    part = "" if (i, shards) == (1, 1) else f" (part {i} of {shards})"
    typer.echo(
        f"{cache.folder}: {count.rows:,} of {len(frame):,} rows{part} in {count.encoded + count.cached} "
        f"blocks: {count.encoded} encoded now, {count.cached} already in the cache"
    )


def _shard(option: str | None) -> tuple[int, int]:
    """Parse i/N; the default is the process's own shard under accelerate launch or torchrun."""
    if option is None:
        return int(os.environ.get("RANK", "0")) + 1, int(os.environ.get("WORLD_SIZE", "1"))
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", option)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard should be i/N with i from 1 to N, like 2/8, not {option!r}")
    return int(match[1]), int(match[2])
