"""`trueward methods`: the list, or one card."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Json, paragraph, show_json

#: Use -> its methods; a method that no use names is listed last.
USES = {
    "recommended: auto selects one of the others": (
        *("auto", "anchored", "channels", "three_outcome", "naive"),
    ),
    "clicks: positive feedback only": (
        *("implicitrm", "bpr", "counterif", "nnpu", "recrec", "rmf", "ubpr", "uprl", "upu"),
    ),
    "noise: some ratings are wrong": (
        *("causalrm", "f_correction", "ilde", "kmeidtm", "labelwave", "co_teaching", "codis"),
        *("dividemix", "selectmix", "eps_softmax"),
    ),
    "who reacts: weights and imputations, the baselines of the papers": (
        *("ips", "snips", "dr", "sdr", "mtips", "mtdr", "cvib"),
    ),
    "comparisons: which of two responses was preferred": ("bradley_terry", "joint"),
    "benchmarks only": ("oracle",),
}
OTHERS = "others"


def methods(
    name: Annotated[str | None, typer.Argument(help="A method; without it, the list.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods by use, or print one's card: formula, assumption, columns, options, paper."""
    from trueward.estimators._card import card, title
    from trueward.estimators._registry import method_class
    from trueward.estimators._registry import methods as all_methods

    if name is not None:
        method_class(name)
        if not as_json:
            typer.echo(card(name), nl=False)
            return
    chosen = [name] if name is not None else list(all_methods())
    if as_json:
        show_json({n: _facts(n) for n in chosen})
        return
    width = max(map(len, chosen))
    named = {n for names in USES.values() for n in names}
    groups = USES | {OTHERS: tuple(n for n in chosen if n not in named)}
    for use, names in groups.items():
        if not names:
            continue
        typer.echo(use)
        for n in names:
            paragraph(f"{title(n).rstrip('.')}.", f"  {n:<{width}}  ")
        typer.echo("")
    typer.echo("the card of one, with formula, options and paper: trueward methods NAME")


def _facts(name: str) -> dict[str, object]:
    from trueward.core.options import options
    from trueward.estimators._card import summary
    from trueward.estimators._registry import make, method_class

    cls = method_class(name)
    shown = make(name, dict(cls.variants[0]))
    return {
        "formula": summary(name),
        "assumption": shown.assumption,
        "needs": sorted(shown.needs),
        "paper": cls.paper,
        "presets": {k: dict(v) for k, v in cls.presets.items()},
        "options": {
            o.name: {"takes": o.accepts, "meaning": o.opt.help} for o in options(cls).values()
        },
    }
