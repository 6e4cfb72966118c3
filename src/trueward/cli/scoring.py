"""`trueward score`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from trueward.core.errors import TruewardError, UsageError
from trueward.core.remote_files import shown

from .clusters import NumGpus, Ray, cluster_of
from .common import Map, Model, SafeCsv, Split, pairs, writable
from .outputs import NO_CLOBBER, keeps_outputs
from .progress import Steps, finish_progress


def score(
    model: Model,
    texts: Annotated[str, typer.Argument(help="A table of prompt and response.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .parquet, .jsonl, .csv.")],
    confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence", help="Add a decision: 1, 0, or null below this confidence."
        ),
    ] = None,
    by_class: Annotated[
        bool,
        typer.Option(
            "--by-class",
            help="The confidence holds among good and among bad responses, not only over both.",
        ),
    ] = False,
    queue: Annotated[
        bool,
        typer.Option(
            "--queue", help="Share the work with other processes that run the same command."
        ),
    ] = False,
    ray: Ray = None,
    num_gpus: NumGpus = 0,
    mapping: Map = None,
    split: Split = None,
    safe_csv: SafeCsv = True,
) -> None:
    """Add reward, P(preferred) and its spread to every prompt and response.

    Parts of 32,768 rows go to the folder OUT.parts until all are done: after an interruption, run the same
    command again.
    """
    from trueward.core.work_parts import parts_folder
    from trueward.model.score_file import score_file

    if by_class and confidence is None:
        raise UsageError("--by-class needs --min-confidence: give both")
    cluster = cluster_of(ray, num_gpus, queue=queue)
    _claimed(out, queue=queue)
    step, parts = Steps(), parts_folder(out)
    begun = parts.exists()
    try:
        scored = score_file(
            model,
            texts,
            out,
            confidence=confidence,
            by_class=by_class,
            mapping=pairs(mapping, "--map"),
            split=split,
            queue=queue,
            ray=cluster,
            safe_csv=safe_csv,
            progress=lambda done, of: step(f"[{done + 1}/{of}] scoring") if done < of > 1 else None,
        )
    except (KeyboardInterrupt, TruewardError) as e:
        _keep_parts(e, parts, ours=not begun, queue=queue)
        raise
    finally:
        finish_progress()
    decided = "" if scored.decided is None else f", {scored.decided} of them decided"
    typer.echo(f"{shown(out)}: {scored.rows} rows scored{decided}")


def _claimed(out: Path, *, queue: bool) -> None:
    """Claim the output; processes of a queue write it together."""
    if not queue:
        writable(out, (".parquet", ".jsonl", ".csv"))
        return
    if out.suffix != ".parquet":
        raise UsageError(f"--out {out} must end in .parquet with --queue")
    if out.exists() and keeps_outputs():
        raise TruewardError(f"--out {out} exists, and {NO_CLOBBER} keeps it: give another place")


def _keep_parts(e: BaseException, parts: Path, *, ours: bool, queue: bool) -> None:
    """Say where finished parts are; a folder of our own without one is removed."""
    if ours and not queue and not any(parts.glob("*.sha256")):
        shutil.rmtree(parts, ignore_errors=True)
    stopped = isinstance(e, KeyboardInterrupt)
    if parts.is_dir() and (stopped or ours):  # else they may be of other work, as e says
        kept = f"the parts so far are kept in {parts}: run the same command to continue"
        e.args = (kept if stopped else f"{e}; {kept}",)
