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
    LogFile,
    Map,
    Named,
    Negative,
    PerRated,
    Positive,
    Seed,
    Split,
    Track,
    Unrated,
    finish_progress,
    first_alone,
    pairs,
    progress,
    show_json,
)
from .outputs import claim_output
from .reading import read, require_fittable, warn_of_export_scope
from .recorded_log import portable_command, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trueward.core.processes import Processes
    from trueward.model.reward_model import RewardModel


def fit(
    context: typer.Context,
    method: Named,
    log: LogFile,
    out: Annotated[Path, typer.Option("--out", help="The folder to write the model to.")],
    option: Given = None,
    gold: Gold = None,
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
    as_json: Json = False,
) -> None:
    """Fit a reward model on a log; --resume continues an interrupted fit."""
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
        with _checkpoint_kept(saved, resume, team):
            table = read(log, gold, mapping, split, values, (per_rated, seed))
            warn_of_export_scope(table)
            if tuned is None:
                train, held = encode(table, backbone=backbone, memory=memory).split(val, seed)
                model = fit_model(method, train, held, **how, **chosen)
            else:
                how |= {"how": tuned, "rank": rank, "frozen": frozen, "val": val}
                how |= {"backbone": backbone, "gradient_checkpointing": checkpointing}
                how |= {"track": track or (), "run": out.resolve().name}
                model = tune(method, table, into=saved / OWN, **how, **chosen)
            report = model.report | {
                "command": portable_command(context.obj),
                "log": recorded(table, log, gold, mapping, split, values, (per_rated, seed)),
            }
            if team.main:
                dataclasses.replace(model, report=report).save(out)
        if team.main:
            shutil.rmtree(saved, ignore_errors=True)
        show_json(report) if as_json else _summarize(model, out)


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


def _summarize(model: RewardModel, out: Path) -> None:
    rows, rated = model.report["rows"], model.report["rated"]
    loss = model.report["training"]["validation_loss"]
    for sentence in model.report.get("reasons", ()):
        typer.echo(sentence)
    typer.echo(
        f"{out}: {model.method} on {rows['train']} rows ({rated['train']} with feedback), "
        + (
            f"validation loss {sum(loss) / len(loss):.4f}"
            if loss
            else "computed from these nuisances:"
        )
    )
    spread = model.report["spread"]
    if spread["members"] > 1:
        low, high = spread["lowest_mean"], spread["highest_mean"]
        typer.echo(
            f"  {spread['members']} members: spread of P {spread['mean_sd']:.3f} on average, "
            f"mean P from {low:.3f} to {high:.3f}"
        )
    for name, about in model.report["nuisances"].items():
        typer.echo(f"  {name}: {_figures(about)}")
    if beside := model.report.get("beside_naive"):
        typer.echo(
            f"  ranking of {beside['rated']} held-out ratings: AUROC {beside['auroc']:.3f}, naive "
            f"{beside['naive_auroc']:.3f} (difference {beside['difference']:+.3f}, 95 % interval "
            f"{beside['low']:+.3f} to {beside['high']:+.3f})"
        )
    for warning in model.report["warnings"]:
        typer.echo(f"  warning: {warning}")


def _figures(report: dict[str, Any]) -> str:
    words = []
    for k, v in report.items():
        if isinstance(v, dict) and "value" in v:
            words.append(f"{k} {v['value']:.3f} [{v['low']:.3f}, {v['high']:.3f}]")
        elif isinstance(v, int | float) and v is not False and k != "quantile":
            words.append(k.replace("_", " ") + ("" if v is True else f" {v:g}"))
    return ", ".join(
        words or [f"{k} {_figures(v)}" for k, v in report.items() if isinstance(v, dict)]
    )
