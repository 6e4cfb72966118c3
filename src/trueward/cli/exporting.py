"""`trueward export` and `verify-export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import Json, Map, Model, Split, pairs, show_json
from .outputs import claim_output
from .recorded_log import fitted_on

Reference = Annotated[
    str | None,
    typer.Option(
        help="A table of typical prompts and responses [the log of the fit, if it exists]."
    ),
]


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    reference: Reference = None,
    distil: Annotated[
        bool, typer.Option("--distil", help="Fit a linear head to a reward that is not linear.")
    ] = False,
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code", help="Let the folder carry code for a reward that is not linear."
        ),
    ] = False,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or bfloat16 [that of the features].")
    ] = None,
    normalize: Annotated[
        bool,
        typer.Option("--normalize", help="Rewards with mean 0 and sd 1 on the reference."),
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            help="classifier or sentence-transformers, of an encoder [classifier where possible]."
        ),
    ] = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Write a model as a folder that TRL, OpenRLHF, veRL, vLLM or sentence-transformers load."""
    from trueward.data.pairs import read_pairs
    from trueward.exporting import export as write
    from trueward.model.reward_model import load

    claim_output(out, "the folder")
    rm = load(model)
    if reference is not None:
        table = read_pairs(reference, mapping=pairs(mapping, "--map"), split=split)
    else:
        table = fitted_on(rm, None, mapping, split).frame
    result = write(
        rm,
        out,
        table["prompt"].to_list(),
        table["response"].to_list(),
        distil=distil,
        allow_remote_code=allow_remote_code,
        dtype=dtype,
        normalize=normalize,
        form=form,
    )
    if as_json:
        show_json({"card": result.card, "notes": result.notes})
        return
    head = result.card["head"]
    typer.echo(f"{out}: {head['kind']} head on {result.card['base_model']['id']}, {head['dtype']}")
    for note in result.notes:
        typer.echo(f"  {note}")
    more = " --allow-remote-code" if result.card["remote_code"] else ""
    typer.echo(f"  next: trueward verify-export {out} --model {model}{more}")


def verify_export(
    folder: Annotated[Path, typer.Argument(help="A folder that export wrote.")],
    model: Annotated[
        Path | None,
        typer.Option("--model", help="The model that was exported, to compare its rewards."),
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="A table of prompts and responses to score [built-in ones].")
    ] = None,
    allow_remote_code: Annotated[
        bool,
        typer.Option("--allow-remote-code", help="Run the folder's code, if trueward wrote it."),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="A server of the folder with vLLM's /classify, to compare its scores."),
    ] = None,
    rounding: Annotated[
        float, typer.Option(help="Change of scores that bfloat16 may cost, in sd (rms).")
    ] = 0.1,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Check that an export gives the same scores wherever it is loaded or served; exit code 1 if not."""
    from trueward.data.pairs import read_pairs
    from trueward.exporting import verify

    table = None
    if texts is not None:
        table = read_pairs(texts, mapping=pairs(mapping, "--map"), split=split)
    columns = () if table is None else (table["prompt"].to_list(), table["response"].to_list())
    result = verify(
        folder,
        *columns,
        model=model,
        allow_remote_code=allow_remote_code,
        url=url,
        rounding=rounding,
    )
    show_json(result.to_json()) if as_json else typer.echo(str(result))
    if not result.passed:
        raise typer.Exit(1)
