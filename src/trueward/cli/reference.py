"""`trueward methods`: the list, or one card."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Json, show_json


def methods(
    name: Annotated[str | None, typer.Argument(help="A method; without it, the list.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or print one's card: formula, assumption, columns, options, paper."""
    from trueward.estimators._card import card, summary
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
    for n in chosen:
        typer.echo(f"{n:<{width}}  {summary(n)}")


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
