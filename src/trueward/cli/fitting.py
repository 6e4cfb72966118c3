"""`trueward fit`."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trueward.core.errors import NotFiniteError, NotWrittenError, TruewardError, UsageError

from .choices import LORA_RANK
from .common import (
    Backbone,
    Given,
    Gold,
    Json,
    Map,
    Named,
    Negative,
    PairsOf,
    PerRated,
    Positive,
    Seed,
    Split,
    Track,
    Unrated,
    first_alone,
    pairs,
    show_json,
)
from .fit_summary import summarize
from .outputs import claim_output
from .progress import finish_progress, progress
from .reading import log_words, read, require_fittable, warn_of_export_scope
from .recorded_log import portable_command, recorded
from .terminal import undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.core.processes import Processes
    from trueward.data.feedback import Feedback
    from trueward.model.reward_model import RewardModel


def fit(
    context: typer.Context,
    method: Named,
    out: Annotated[Path, typer.Option("--out", help="The folder to write the model to.")],
    log: Annotated[
        str | None, typer.Argument(help="Parquet, JSONL(.gz), CSV, Arrow, SQL or dataset folder.")
    ] = None,
    option: Given = None,
    gold: Gold = None,
    compared: PairsOf = None,
    mapping: Map = None,
    split: Split = None,
    positive: Positive = None,
    negative: Negative = None,
    unrated: Unrated = None,
    per_rated: PerRated = "auto",
    backbone: Backbone = "wordllama",
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory to use, such as 8GB [what is free]; features above a quarter of it stay on disk.",
        ),
    ] = None,
    val: Annotated[
        float, typer.Option(help="Share of the prompts held out for early stopping.")
    ] = 0.2,
    members: Annotated[
        int,
        typer.Option(min=1, max=64, help="Networks trained together; their spread is reported."),
    ] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the rows.")] = None,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted fit.")] = False,
    tuned: Annotated[
        Literal["lora", "full", "head"] | None,
        typer.Option("--tune", help="Fine-tune the backbone: lora, full or head."),
    ] = None,
    rank: Annotated[
        int, typer.Option(min=1, help="--tune lora: rank of the adapters.")
    ] = LORA_RANK,
    frozen: Annotated[
        str | None,
        typer.Option(
            "--nuisance-backbone", help="--tune: features of the nuisances [the backbone]."
        ),
    ] = None,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="--tune: less memory, more time.")
    ] = False,
    track: Track = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print also losses, nuisances and reasons.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit a reward model on a log; `auto` selects the method. --resume continues an interrupted fit."""
    from trueward.features import encode
    from trueward.fitting.finetune.tune import tune
    from trueward.fitting.fit import fit as fit_model
    from trueward.model.reward_model import OWN, claim

    if not 0 < val < 1:
        raise UsageError(f"--val must be between 0 and 1, and is {val}")
    if tuned is None and (frozen or checkpointing or track or rank != LORA_RANK):
        raise UsageError(
            "--rank, --nuisance-backbone, --gradient-checkpointing and --track need --tune: add --tune lora, "
            "full or head"
        )
    chosen: dict[str, Any] = {"seed": seed, "members": members, **pairs(option, "-o")}
    chosen |= {} if epochs is None else {"epochs": epochs}
    with first_alone(several=tuned is not None) as team:
        require_fittable(method, chosen)
        saved = team.broadcast(
            _checkpoint(claim_output(claim(out), say=True), resume) if team.main else None
        )
        values = {"positive": positive, "negative": negative, "unrated": unrated}
        how: dict[str, Any] = {"checkpoint": saved, "progress": progress()}
        ranking: dict[str, Any] = {}
        with _checkpoint_kept(saved, resume, team):
            table = read(log, gold, mapping, split, values, (per_rated, seed), compared)
            warn_of_export_scope(table)
            if tuned is None:
                train, held = encode(table, backbone=backbone, memory=memory).split(val, seed)
                model = fit_model(method, train, held, **how, **chosen)
                ranking = _held_out(model, train, held, chosen)
            else:
                how |= {"how": tuned, "rank": rank, "frozen": frozen, "val": val}
                how |= {"backbone": backbone, "gradient_checkpointing": checkpointing}
                how |= {"track": track or (), "run": out.resolve().name}
                model = tune(method, table, into=saved / OWN, **how, **chosen)
            logged = recorded(table, log, gold, mapping, split, values, (per_rated, seed), compared)
            report = (
                model.report | ranking | {"command": portable_command(context.obj), "log": logged}
            )
            if team.main:
                model = dataclasses.replace(model, report=report)
                model.save(out)
        if team.main:
            shutil.rmtree(saved, ignore_errors=True)
        if as_json:
            show_json(report)
        else:
            summarize(model, out, log_words(log, gold, mapping, split, values), verbose=verbose)


def _held_out(
    model: RewardModel, train: Feedback, held: Feedback, chosen: dict[str, Any]
) -> dict[str, Any]:
    """Return what the report adds: the ranking of held-out ratings beside naive, and the gold labels."""
    from trueward.fitting.held_out_ranking import held_out_ranking

    report = progress()
    ranking = held_out_ranking(
        model,
        train,
        held,
        progress=lambda _stage, *rest: report("naive, to compare", *rest),
        **chosen,
    )
    return {
        "gold": len(train.audited),
        **({} if ranking is None else {"held_out": ranking}),
    }


@contextlib.contextmanager
def _checkpoint_kept(saved: Path, resume: bool, team: Processes) -> Iterator[None]:
    """Keep the checkpoint if --resume can continue from it; delete it if it cannot."""
    try:
        yield
    except NotWrittenError:
        raise
    except NotFiniteError as e:
        raise NotFiniteError(f"{e}; the epochs before are kept in {saved}") from e
    except TruewardError:
        if not resume and team.main:  # what is wrong with the data stays wrong
            shutil.rmtree(saved, ignore_errors=True)
        raise
    except KeyboardInterrupt as e:
        with undisturbed():
            if saved.is_dir():
                e.args = (f"the fit so far is kept in {saved}: add --resume to continue it",)
        raise
    finally:
        finish_progress()


def _checkpoint(out: Path, resume: bool) -> Path:
    whole = out.resolve()
    saved = whole.with_name(whole.name + ".checkpoint")
    if resume and not saved.is_dir():
        raise TruewardError(f"--resume found no interrupted fit at {saved}: start without it")
    if not resume and saved.exists():
        raise TruewardError(
            f"{saved} holds an interrupted fit: add --resume to continue it, or delete that folder"
        )
    return saved
