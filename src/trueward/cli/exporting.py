"""`trueward export` and `verify-export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trueward.core.errors import TruewardError

from .common import Json, Map, Model, Split, pairs, show_json
from .reading import fitted_on

Reference = Annotated[
    str | None,
    typer.Option(help="Typical prompts and responses [the log it was fitted on, if it is there]."),
]


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    reference: Reference = None,
    distil: Annotated[
        bool, typer.Option("--distil", help="Fit a linear head to one that is not.")
    ] = False,
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code", help="Carry a head that is not linear as code in the folder."
        ),
    ] = False,
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16.")] = None,
    mapping: Map = None,
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Write a model as a folder that TRL, OpenRLHF, veRL, vLLM or sentence-transformers load as it is."""
    from trueward.data.log import read_pairs
    from trueward.exporting import export as write
    from trueward.model.reward_model import load

    if out.exists() and not (out / "reward_card.json").exists() and any(out.iterdir()):
        raise TruewardError(
            f"{out} exists and is no export, so it is left alone; give another folder"
        )
    rm = load(model)
    if reference is not None:
        table = read_pairs(reference, mapping=pairs(mapping, "--map"), split=split)
    else:
        table = fitted_on(rm, None, mapping, split).frame
    made = write(
        rm,
        out,
        table["prompt"].to_list(),
        table["response"].to_list(),
        distil=distil,
        allow_remote_code=allow_remote_code,
        dtype=dtype,
    )
    if as_json:
        show_json({"card": made.card, "notes": made.notes})
        return
    head = made.card["head"]
    typer.echo(f"{out}: {head['kind']} head on {made.card['base_model']['id']}, {head['dtype']}")
    for note in made.notes:
        typer.echo(f"  {note}")
    more = " --allow-remote-code" if made.card["remote_code"] else ""
    typer.echo(f"  next: trueward verify-export {out} --model {model}{more}")


def verify_export(
    folder: Annotated[Path, typer.Argument(help="A folder that export wrote.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="The model it was made from, to compare with.")
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="A table of prompt and response to score [built-in ones].")
    ] = None,
    allow_remote_code: Annotated[
        bool,
        typer.Option(
            "--allow-remote-code", help="Run the folder's code, if it is what this version writes."
        ),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(help="A server of the folder with vLLM's /classify, such as vllm serve."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that an export scores the same wherever it is loaded, or served; exit code 1 if not."""
    from trueward.data.log import read_pairs
    from trueward.exporting import verify
    from trueward.model.reward_model import load

    table = None if texts is None else read_pairs(texts)
    columns = () if table is None else (table["prompt"].to_list(), table["response"].to_list())
    found = verify(
        folder,
        *columns,
        model=None if model is None else load(model),
        allow_remote_code=allow_remote_code,
        url=url,
    )
    show_json(found.to_json()) if as_json else typer.echo(str(found))
    if not found.passed:
        raise typer.Exit(1)
