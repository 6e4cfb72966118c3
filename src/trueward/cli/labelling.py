"""`trueward label`: gold labels by people, and a first label by a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from trueward.core.errors import TruewardError, UsageError

from .common import Json, Map, SafeCsv, Seed, pairs, show_json, writable
from .outputs import write_rows
from .terminal import stoppable

Batch = Annotated[
    str, typer.Argument(help="What plan --out wrote, or any table of prompt and response.")
]
Guideline = Annotated[
    Path | None, typer.Option("--guideline", help="Text file with what good means [built in].")
]


class ByOption(TyperGroup):
    """Without the name of a command its options decide: --judge, --to, or a page."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command first."""
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            given = {word.partition("=")[0] for word in args}
            args = [
                "judge" if "--judge" in given else "tasks" if "--to" in given else "page",
                *args,
            ]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="label",
    cls=ByOption,
    help="Label responses: on a page (label next.csv --out label.html), in a tool (--to), by a model "
    "(--judge).",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
@stoppable
def page(
    source: Batch,
    out: Annotated[Path, typer.Option("--out", help="The page: .html.")],
    guideline: Guideline = None,
    annotator: Annotated[
        list[str] | None,
        typer.Option(
            "--annotator",
            metavar="NAME",
            help="Share the responses among these people; repeatable.",
        ),
    ] = None,
    mapping: Map = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page on which people label responses, blind and offline."""
    from trueward.asking.labels.page import GUIDELINE, label_page

    writable(out, (".html",))
    made = label_page(
        source,
        guideline=_text(guideline) or GUIDELINE,
        annotators=annotator or (),
        mapping=pairs(mapping, "--map"),
    )
    made.save(out)
    if as_json:
        rows = made.batch.items
        twice = sum(item.labels > 1 for item in rows)
        show_json({"rows": len(rows), "twice": twice, "batch": made.batch.digest})
        return
    size = out.stat().st_size / 1e6
    typer.echo(f"{out}: {made}; {size:.1f} MB, opens without a network")
    typer.echo("send it to the annotators, and merge what they send back: trueward label merge ...")


@app.command()
@stoppable
def merge(
    files: Annotated[list[Path], typer.Argument(help="What the annotators downloaded.")],
    out: Annotated[Path, typer.Option("--out", help="The gold labels: .parquet, .csv or .jsonl.")],
    plan: Annotated[
        str | None, typer.Option("--plan", help="The file that was labelled, to check the labels.")
    ] = None,
    disputed: Annotated[
        Path | None,
        typer.Option("--disputed", help="Write the responses to adjudicate: .csv, .jsonl."),
    ] = None,
    adjudicated: Annotated[
        list[Path] | None,
        typer.Option("--adjudicated", help="Labels of these responses, which replace others."),
    ] = None,
    newest: Annotated[
        bool,
        typer.Option("--newest", help="Several files of one annotator: the newest label counts."),
    ] = False,
    safe_csv: SafeCsv = True,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Merge the labels of several annotators into gold labels that keep the chances of the plan."""
    from trueward.asking.labels.merge import merge_labels

    writable(out, (".parquet", ".csv", ".jsonl"))
    if disputed is not None:
        writable(disputed, (".csv", ".jsonl"), "--disputed")
    merged = merge_labels(files, adjudicated=adjudicated or (), plan=plan, newest=newest, seed=seed)
    write_rows(merged.frame, out, safe_csv=safe_csv)
    if disputed is not None:
        write_rows(merged.disputed, disputed, safe_csv=safe_csv)
    if as_json:
        show_json(merged.to_json())
        return
    typer.echo(str(merged))
    weights = "with gold_weight" if "gold_weight" in merged.frame.columns else "of a uniform draw"
    typer.echo(f"{out}: {merged.frame.height:,} gold labels {weights}")
    if disputed is not None and merged.disputed.height:
        typer.echo(f"{disputed}: label it once more, and merge again with --adjudicated FILE")


@app.command()
@stoppable
def tasks(
    source: Batch,
    to: Annotated[
        Literal["label-studio", "argilla", "langfuse"],
        typer.Option("--to", help="The tool that people label in."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The file of tasks: .json.")],
    mapping: Map = None,
    as_json: Json = False,
) -> None:
    """Write the responses as tasks of a labelling tool; trueward import reads its export."""
    from trueward.asking.labels.batch import read_batch
    from trueward.asking.labels.tasks import HOW, task_file

    writable(out, (".json",))
    batch = read_batch(source, pairs(mapping, "--map"))
    from trueward.core.atomic_io import replacing

    with replacing(out) as path:
        path.write_text(task_file(batch, to), "utf-8", newline="\n")
    if as_json:
        show_json({"rows": len(batch.items), "batch": batch.digest})
    else:
        typer.echo(f"{out}: {len(batch.items):,} tasks; {HOW[to]}")


@app.command()
@stoppable
def judge(
    source: Annotated[str, typer.Argument(help="A log, what plan --out wrote, or any table.")],
    address: Annotated[
        str,
        typer.Option("--judge", metavar="URL", help="Server that speaks OpenAI's chat protocol."),
    ],
    model: Annotated[str, typer.Option("--model", help="Name of the model on the server.")],
    out: Annotated[Path, typer.Option("--out", help="The answers: .parquet, .csv or .jsonl.")],
    guideline: Guideline = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send the texts; without it only the cost is shown.")
    ] = False,
    max_tokens: Annotated[
        int,
        typer.Option(
            "--max-tokens", min=1, help="Longest answer; models that think first need thousands."
        ),
    ] = 16,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, max=64, help="Requests at a time.")
    ] = 4,
    mapping: Map = None,
    safe_csv: SafeCsv = True,
    as_json: Json = False,
) -> None:
    """Let a model label responses first: a column `judge`, which is never a gold label."""
    from trueward.evaluation.judge.model import Judge
    from trueward.evaluation.judge.responses import journal_of, judge_responses, read_judged

    writable(out, (".parquet", ".csv", ".jsonl"))
    text = _text(guideline)
    asked = Judge.of(address, model, text, max_tokens)
    texts = read_judged(source, pairs(mapping, "--map"))
    known = journal_of(out, asked)
    cost = asked.cost(texts, known)
    if not yes:
        if as_json:
            show_json(vars(cost) | {"sent": False})
        else:
            typer.echo(f"{cost}; nothing was sent: add --yes")
        return
    typer.echo(str(cost), err=True)
    result = judge_responses(texts, asked, journal=known, parallel=parallel, progress=_progress)
    write_rows(result.frame, out, safe_csv=safe_csv)
    known.remove()
    show_json(result.to_json()) if as_json else typer.echo(f"{out}: {result}")


def _progress(done: int, total: int) -> None:
    """Show on a terminal how many answers there are."""
    if sys.stderr.isatty():
        end = "\r\x1b[K" if done == total else ""
        typer.echo(f"\r\x1b[K{done:,} of {total:,} answers{end}", nl=False, err=True)


def _text(file: Path | None) -> str | None:
    """Read a guideline."""
    if file is None:
        return None
    try:
        text = file.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise TruewardError(f"--guideline {file} is no UTF-8 text: save it as plain text") from None
    except OSError as e:
        raise TruewardError(
            f"--guideline {file} cannot be read ({e.strerror}): name a text file"
        ) from e
    if not text:
        raise UsageError(f"--guideline {file} is empty: write what a good response is")
    return text
