"""`trueward align`."""

from __future__ import annotations

import ast
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueward.core.errors import TruewardError

from .common import Map, Seed, Split, Track, pairs
from .grouped import grouped
from .outputs import claim_output
from .progress import finish_progress
from .recorded_log import fitted_on, portable

if TYPE_CHECKING:
    from trueward.rlhf import Align


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of GRPO."""

    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 200
    batch: Annotated[int, typer.Option("--prompts-a-step", min=1, help="Prompts per step.")] = 8
    group: Annotated[
        int, typer.Option(help="Answers sampled for each prompt; at least 2, compared in GRPO.")
    ] = 8
    micro: Annotated[
        int | None, typer.Option(min=1, help="Answers in memory at once [one group].")
    ] = None
    length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256
    lr: Annotated[float | None, typer.Option(help="Learning rate [1e-6; with --lora 1e-5].")] = None
    kl: Annotated[
        float, typer.Option(min=0, help="Weight of the KL divergence to the initial policy.")
    ] = 0.02
    temperature: Annotated[float, typer.Option(min=0.01, help="Sampling temperature.")] = 1.0
    lora: Annotated[
        int | None,
        typer.Option(min=1, metavar="RANK", help="Train adapters only; merged at the end."),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option("-o", metavar="NAME=VALUE", help="More of TRL's GRPOConfig; repeatable."),
    ] = None
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50
    seed: Seed = 0

    def settings(self) -> Align:
        """Return what `trueward.rlhf.align` takes."""
        from trueward.rlhf import Align

        values = asdict(self)
        more = {k: _value(v) for k, v in pairs(values.pop("option"), "-o").items()}
        return Align(prompts=values.pop("batch"), more=more, **values)


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """Options that make a learned reward safe to optimise."""

    limit: Annotated[float, typer.Option(help="Rewards are clipped to [-limit, limit].")] = 4.0
    caution: Annotated[
        float, typer.Option(min=0, help="Subtract this many standard deviations of P(preferred).")
    ] = 0.0
    far: Annotated[
        str, typer.Option(help="Out-of-distribution text: 'as it is', or 'worst' (-limit).")
    ] = "as it is"
    reference: Annotated[
        str | None,
        typer.Option(
            help="A table of typical prompts and responses [the log of the fit, if it exists]."
        ),
    ] = None


@grouped
def align(
    policy: Annotated[str, typer.Option(help="A chat model: a folder, or a name on the hub.")],
    reward: Annotated[
        list[Path],
        typer.Option(help="A folder of fit or of export; several are summed; repeatable."),
    ],
    prompts: Annotated[str, typer.Option(help="A table with a prompt column, such as a log.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write the policy to.")],
    weight: Annotated[
        list[float] | None, typer.Option(help="Weight of each reward, in their order [1].")
    ] = None,
    *,
    training: TrainingOptions,
    safety: RewardOptions,
    mapping: Map = None,
    split: Split = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    track: Track = None,
) -> None:
    """Train a policy with TRL's GRPO on learned rewards; --resume continues an interrupted run."""
    from trueward.rlhf import Policy, read_prompts
    from trueward.rlhf import align as train
    from trueward.rlhf.align import check_request

    track = track or []
    check_request(out, len(reward), weight, track)
    if os.environ.get("RANK", "0") == "0":  # under accelerate launch one process writes
        claim_output(out, say=True)
    settings = training.settings()
    messages = read_prompts(prompts, mapping=pairs(mapping, "--map"), split=split)
    start = Policy.at(policy)
    rewards = [_reward(folder, safety, _reward_name(folder, reward)) for folder in reward]
    typer.echo(f"{len(messages):,} prompts, {settings.responses} answers a step", err=True)
    try:
        result = train(
            *(start, rewards, messages, out, settings),
            weights=weight,
            origin={
                "rewards": {_reward_name(folder, reward): _digest(folder) for folder in reward},
                "made safe": asdict(safety)
                | {"reference": safety.reference and portable(safety.reference)},
                "prompts": portable(prompts),
            },
            resume=resume,
            track=track,
            progress=_step_reporter(settings.steps),
        )
    except KeyboardInterrupt:
        work = out.resolve().with_name(out.name + ".checkpoint")
        if not any(work.glob("checkpoint-*")):
            raise
        typer.echo(
            f"stopped; {work} has the steps so far: continue with the same command and --resume",
            err=True,
        )
        raise typer.Exit(130) from None
    finally:
        finish_progress()
    _say_end(out, result.get("ended"))


def _say_end(out: Path, end: dict[str, Any] | None) -> None:
    """Print where the policy is; without an end another process of accelerate launch has written it."""
    if end is not None:
        typer.echo(
            f"{out}: {_metrics_line(end)} after {end.get('step', 0)} steps; all steps are in "
            f"{out}/metrics.jsonl"
        )


def _reward(folder: Path, safety: RewardOptions, name: str) -> Any:
    """Return our reward function, or the folder of a sequence classifier as it is."""
    from trueward.data.pairs import read_pairs
    from trueward.model.reward_model import load
    from trueward.rlhf import Reward, trl

    if not (folder / "model.json").is_file() and (folder / "config.json").is_file():
        return str(folder)
    model = load(folder)
    if model.backbone is None:
        raise TruewardError(
            f"{folder} was fitted on precomputed features, and a policy's answers are text only: fit a "
            "reward on a backbone that reads text, such as wordllama"
        )
    options = asdict(safety)
    reference = options.pop("reference")
    table = fitted_on(model).frame if reference is None else read_pairs(reference)
    columns = table["prompt"].to_list(), table["response"].to_list()
    return trl(Reward.of(model, *columns, **options), name)


def _digest(folder: Path) -> str:
    from trueward.features.transformers.locate import find_model

    file = folder / "model.json"
    if file.is_file():
        return str(json.loads(file.read_text("utf-8"))["digest"])
    return find_model(str(folder)).digest


def _reward_name(folder: Path, every: list[Path]) -> str:
    """Return the folder's name, with its parent's where two have the same."""
    names = [path.resolve().name for path in every]
    own = folder.resolve().name
    return own if names.count(own) == 1 else "-".join(folder.resolve().parts[-2:])


def _value(text: str) -> Any:
    """Parse a word of the command line as a number, a truth value, a list or a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _step_reporter(steps: int) -> Any:
    """Return a callback that overwrites one line on a terminal and prints ten lines elsewhere."""
    terminal = sys.stderr.isatty()

    def report(metrics: dict[str, Any]) -> None:
        step = metrics["step"]
        text = f"step {step}/{steps}  {_metrics_line(metrics)}"
        if terminal:
            typer.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif step % max(1, steps // 10) == 0 or step == steps:
            typer.echo(text, err=True)

    return report


def _metrics_line(metrics: dict[str, Any]) -> str:
    formats = {"reward": "{:+.3f}", "kl": "{:.4f}", "length": "{:.0f}"}
    return ", ".join(
        f"{name} {form.format(metrics[name])}"
        for name, form in formats.items()
        if metrics.get(name) is not None
    )
