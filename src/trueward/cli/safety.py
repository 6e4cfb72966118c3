"""`trueward safety`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .common import Json, Seed, paragraph, show_json
from .grouped import grouped
from .outputs import claim_output
from .progress import note
from .terminal import quiet


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """Options of the answers that are evaluated."""

    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most N harmful and N benign prompts of each benchmark."),
    ] = None
    samples: Annotated[int, typer.Option(min=1, help="Answers for each prompt.")] = 1
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 512
    temperature: Annotated[
        float, typer.Option(min=0, help="Sampling temperature; 0: the likeliest token.")
    ] = 0.0
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Options of the judges, and of where they and the policies run."""

    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND or KIND=MODEL: harmbench, wildguard, strongreject, strongreject_finetuned, xstest, "
            "builtin (smoke tests), phrases; repeatable [the published judge of each benchmark].",
        ),
    ] = None
    labels: Annotated[
        str | None,
        typer.Option(help="Labels of people: prompt, response, label; they correct the judges."),
    ] = None
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Use prompts or a judge's prompt of this hash, too; repeatable."),
    ] = None
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda:0 ... [the GPU, if there is one].")
    ] = None


@grouped
def safety(
    policy: Annotated[
        list[str],
        typer.Argument(
            help="A folder, an adapter, a hub name, http://HOST/v1,model=NAME, vllm:FOLDER or "
            "inspect:PROVIDER/NAME; the first is the base that others are compared with; LABEL=POLICY.",
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="paper, harmbench, strongreject, wildguard or xstest.")
    ],
    data: Annotated[
        Path, typer.Option(help="The folder of prompts and of judges' prompts, or one table.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="The folder to write to; continued if it exists.")
    ],
    *,
    answers: AnswerOptions,
    judging: JudgeOptions,
    as_json: Json = False,
) -> None:
    """Evaluate the safety of policies on published benchmarks, over-refusal beside it."""
    from dataclasses import asdict

    from trueward.rlhf.safety.run import prepare
    from trueward.rlhf.safety.settings import SafetySettings
    from trueward.rlhf.safety.text_models import device_name

    settings = SafetySettings(
        **asdict(answers),
        accept=tuple(judging.accept or ()),
        device=device_name(judging.device),
    )
    run = prepare(policy, suite, data, out, judging.judge or (), settings, judging.labels)
    claim_output(out)
    counts = ", ".join(f"{len(s.prompts):,} of {s.suite}" for s in run.sets)
    note(
        f"policies: {', '.join(p.name for p in run.policies)}; prompts: {counts}; "
        f"judges: {', '.join(j.name for j in run.judges)}"
    )
    try:
        result = run.evaluate(_said)
    except KeyboardInterrupt:
        if sys.stderr.isatty():  # the message does not stand behind the line of progress
            typer.echo(err=True)
        raise
    if as_json:
        show_json(result.to_json())
        return
    typer.echo(str(result))
    paragraph(
        f"{out}/safety.json has every figure with its hashes, {out}/verdicts.parquet every answer"
    )


def _said(what: str, done: int, total: int) -> None:
    """Print one line for each step: it overwrites itself on a terminal."""
    text = f"{what}: {done:,} of {total:,}"
    if sys.stderr.isatty() and not quiet():
        typer.echo(f"\r\x1b[K{text}", nl=done >= total, err=True)
    elif done >= total:
        note(text)
