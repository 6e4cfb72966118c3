"""`trueward align`."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trueward.errors import TruewardError, UsageError
from trueward.features.folder import find
from trueward.log import read_pairs
from trueward.model import load
from trueward.rlhf import Align, Policy, Reward, read_prompts, trl
from trueward.rlhf import align as train

from .common import Map, Seed, Split, finish_progress, pairs
from .reading import fitted_on


def align(
    policy: Annotated[str, typer.Option(help="A chat model: a folder, or a name on the hub.")],
    reward: Annotated[
        list[Path],
        typer.Option(help="A folder of fit or of export; several are added up; repeatable."),
    ],
    prompts: Annotated[str, typer.Option(help="A table with a prompt column, such as a log.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write the policy to.")],
    weight: Annotated[
        list[float] | None, typer.Option(help="Of each reward, in their order [1].")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of learning.")] = 200,
    batch: Annotated[int, typer.Option("--prompts-a-step", min=1, help="Prompts a step.")] = 8,
    group: Annotated[int, typer.Option(help="Answers to each, compared with each other.")] = 8,
    micro: Annotated[
        int | None, typer.Option(min=1, help="Answers in memory at once [one group].")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 256,
    lr: Annotated[float | None, typer.Option(help="Learning rate [1e-6; --lora 1e-5].")] = None,
    kl: Annotated[
        float, typer.Option(min=0, help="Weight of the KL divergence to the policy as it was.")
    ] = 0.02,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of sampling.")] = 1.0,
    lora: Annotated[
        int | None,
        typer.Option(min=1, metavar="RANK", help="Learn adapters only; merged at the end."),
    ] = None,
    limit: Annotated[float, typer.Option(help="Rewards are clipped to plus and minus this.")] = 4.0,
    caution: Annotated[
        float, typer.Option(min=0, help="Standard deviations of P that are taken off.")
    ] = 0.0,
    far: Annotated[
        str, typer.Option(help="Text unlike any of the log: 'as it is', or 'worst'.")
    ] = "as it is",
    reference: Annotated[
        str | None,
        typer.Option(
            help="Typical prompts and responses [the log it was fitted on, if it is there]."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("-o", metavar="NAME=VALUE", help="More of TRL's GRPOConfig; repeatable."),
    ] = None,
    mapping: Map = None,
    split: Split = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
    seed: Seed = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run.")
    ] = False,
) -> None:
    """Train a policy with TRL's GRPO on learned rewards; an interrupted run goes on with --resume."""
    _claim(out)
    if weight is not None and len(weight) != len(reward):
        raise UsageError(
            f"--weight is given once for each --reward: {len(weight)} for {len(reward)}"
        )
    how = Align(
        *(steps, batch, group, micro, length, lr, kl, temperature, lora, save_every, seed),
        more={k: _value(v) for k, v in pairs(option, "-o").items()},
    )
    asked = read_prompts(prompts, mapping=pairs(mapping, "--map"), split=split)
    start = Policy.at(policy)
    safe = {"limit": limit, "caution": caution, "far": far}
    paid = [_reward(r, reference, safe, _named(r, reward)) for r in reward]
    typer.echo(f"{len(asked):,} prompts, {how.prompts * how.group} answers a step", err=True)
    try:
        about = train(
            *(start, paid, asked, out, how),
            weights=weight,
            origin={
                "rewards": {str(r): _digest(r) for r in reward},
                "made safe": safe | {"reference": reference},
                "prompts": prompts,
            },
            resume=resume,
            tell=_teller(steps),
        )
    finally:
        finish_progress()
    if (end := about.get("ended")) is None:
        return  # another process of accelerate launch has written it
    typer.echo(
        f"{out}: {_said(end)} after {end.get('step', 0)} steps; {out}/metrics.jsonl has them all"
    )


def _claim(out: Path) -> None:
    ours = out.is_dir() and (not any(out.iterdir()) or (out / "align.json").exists())
    if out.exists() and not ours:
        raise TruewardError(
            f"{out} exists and is no aligned policy, so it is left alone; give another"
        )


def _reward(folder: Path, reference: str | None, safe: dict[str, Any], name: str) -> Any:
    """Our reward function, or the folder of a sequence classifier as it is."""
    if not (folder / "model.json").is_file() and (folder / "config.json").is_file():
        return str(folder)
    model = load(folder)
    if model.backbone is None:
        raise TruewardError(
            f"{folder} was fitted on features from outside the text, and a policy's answers are text alone: "
            "fit a reward on a backbone that reads text, such as wordllama"
        )
    table = fitted_on(model).frame if reference is None else read_pairs(reference)
    made = Reward.of(model, table["prompt"].to_list(), table["response"].to_list(), **safe)
    return trl(made, name)


def _digest(folder: Path) -> str:
    file = folder / "model.json"
    if file.is_file():
        return str(json.loads(file.read_text("utf-8"))["digest"])
    return find(str(folder)).digest


def _named(folder: Path, every: list[Path]) -> str:
    names = [p.resolve().name for p in every]
    own = folder.resolve().name
    return own if names.count(own) == 1 else "-".join(folder.resolve().parts[-2:])


def _value(text: str) -> Any:
    """A word of the command line as a number, a truth value, a list or a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _teller(steps: int) -> Any:
    """A line that is overwritten on a terminal; elsewhere one in ten steps, so that logs stay short."""
    terminal = sys.stderr.isatty()

    def tell(line: dict[str, Any]) -> None:
        step = line["step"]
        text = f"step {step}/{steps}  {_said(line)}"
        if terminal:
            typer.echo(f"\r\x1b[K{text}", nl=False, err=True)
        elif step % max(1, steps // 10) == 0 or step == steps:
            typer.echo(text, err=True)

    return tell


def _said(line: dict[str, Any]) -> str:
    said = {"reward": "{:+.3f}", "kl": "{:.4f}", "length": "{:.0f}"}
    return ", ".join(f"{k} {f.format(line[k])}" for k, f in said.items() if line.get(k) is not None)
