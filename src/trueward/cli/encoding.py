"""`trueward encode`."""

from __future__ import annotations

import os
import re
from typing import Annotated

import typer

from trueward.core.errors import UsageError

from .common import Backbone, Json, Map, Split, pairs, show_json


def encode(
    table: Annotated[str, typer.Argument(help="A log or any table of prompt and response.")],
    backbone: Backbone = "wordllama",
    shard: Annotated[
        str | None, typer.Option(metavar="i/N", help="Only the i-th of N parts of the rows.")
    ] = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Make the features of a log ahead of `fit`, in parts if need be; what is there is not made again.

    They go to the cache (the folder in TRUEWARD_CACHE), block by block: after an interruption the same
    command goes on. Each of N processes or machines takes one --shard, into one cache.
    """
    from trueward.data.log import read_pairs
    from trueward.features import backbone as named
    from trueward.features import cached_in, fill

    part = _shard(shard)
    if backbone.startswith("precomputed:"):
        raise UsageError(f"{backbone} is features already: give it to fit")
    frame = read_pairs(table, mapping=pairs(mapping, "--map"), split=split)
    model, store = named(backbone), cached_in()
    prompts, responses = frame["prompt"].to_list(), frame["response"].to_list()
    shown = shard is not None or part[0] == 1  # one bar for all processes of a launcher
    done = fill(model, prompts, responses, store, shard=part, progress=shown)
    if as_json:
        show_json({**done._asdict(), "cache": str(store.folder), "backbone": model.spec()})
        return
    which = "" if part == (1, 1) else f" (part {part[0]} of {part[1]})"
    typer.echo(
        f"{store.folder}: {done.rows:,} of {len(frame):,} rows{which} in {done.made + done.there} blocks, "
        f"{done.made} made now and {done.there} there before"
    )


def _shard(given: str | None) -> tuple[int, int]:
    """Read i/N; without it, the process's own place under accelerate launch or torchrun."""
    if given is None:
        return int(os.environ.get("RANK", "0")) + 1, int(os.environ.get("WORLD_SIZE", "1"))
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard takes i/N with i from 1 to N, like 2/8, not {given!r}")
    return int(found[1]), int(found[2])
