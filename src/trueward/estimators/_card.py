"""The card of a method, generated from its class; for the command line and the docs."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING

from trueward.core.arguments import described
from trueward.core.errors import UsageError
from trueward.core.options import format_value, options
from trueward.estimation.method import Method
from trueward.estimation.nuisance_types import Nuisance
from trueward.estimators._registry import method_class, methods


def card(method: str | type[Method] | Method) -> str:
    """Return the card of a method as Markdown: formula, assumptions, columns, claims, options, paper.

    Parameters
    ----------
    method : str, type or Method
        Name, class or instance of a method.

    Returns
    -------
    str

    Raises
    ------
    UsageError
        If there is no such method; it suggests the nearest name.

    Examples
    --------
    >>> print(card("oracle").splitlines()[0])
    # oracle

    """
    if isinstance(method, Method):
        method = type(method)
    if not isinstance(method, str) and not (
        isinstance(method, type) and issubclass(method, Method)
    ):
        raise UsageError(f"card takes the name of a method, not {described(method)}")
    cls = method_class(method) if isinstance(method, str) else method
    shown = cls(**cls.variants[0])
    lines = [
        f"# {cls.name}",
        "",
        title(cls),
        "",
        "```text",
        inspect.cleandoc(cls.__doc__ or ""),
        "```",
        "",
    ]
    lines += [f"**Assumptions** {shown.assumption}.", ""]
    lines += ["**Needs** " + _needs(cls) + ".  ", f"**Nuisances** {_estimates(cls)}.  "]
    lines += [f"**Unbiased risk** {_claims(cls, 'unbiased_if')}.  "]
    lines += [
        f"**Consistent** {_claims(cls, 'consistent_if')}.  ",
        f"**Source** {cls.paper}.",
        "",
    ]
    if rows := _options(cls):
        lines += ["| option | takes | default | meaning |", "|---|---|---|---|", *rows, ""]
    for preset, chosen in cls.presets.items():
        text = " ".join(f"{k}={v}" for k, v in chosen.items())
        lines += [f"`-o preset={preset}` is `{text}`.", ""]
    return "\n".join(lines).rstrip() + "\n"


def title(method: str | type[Method]) -> str:
    """Return what a method does, in one plain sentence: the first line of its module.

    Parameters
    ----------
    method : str or type
        Name or class of a method.

    Returns
    -------
    str

    """
    module = inspect.getmodule(methods()[method] if isinstance(method, str) else method)
    return inspect.cleandoc((module and module.__doc__) or "").split("\n")[0]


def summary(name: str) -> str:
    """Return the first line of a method's docstring, its formula, for lists.

    Parameters
    ----------
    name : str
        Name of the method.

    Returns
    -------
    str
        The first line.

    """
    return inspect.cleandoc(methods()[name].__doc__ or "").split("\n")[0]


def _variants(cls: type[Method]) -> list[Method]:
    return [cls(**chosen) for chosen in cls.variants]


def _needs(cls: type[Method]) -> str:
    if cls.takes_truth:
        return "the true label of every row (`Labelled`), which only a benchmark has"
    always = frozenset.intersection(*(m.needs for m in _variants(cls)))
    sometimes = frozenset.union(*(m.needs for m in _variants(cls))) - always
    words = [f"`{c}`" for c in sorted(always)]
    words += [f"`{c}` with some options" for c in sorted(sometimes)]
    return ", ".join(words) or "feedback alone"


def _estimates(cls: type[Method]) -> str:
    names: dict[str, None] = {}
    for m in _variants(cls):
        names |= dict.fromkeys(
            nu.name if isinstance(nu, Nuisance) else nu.name.replace("_", " ") for nu in m.nuisances
        )
    return ", ".join(names) or "nothing"


def _claims(cls: type[Method], kind: str) -> str:
    claims: dict[str, list[str]] = {}
    for chosen, m in zip(cls.variants, _variants(cls), strict=True):
        sets = " or ".join(" + ".join(sorted(s)) or "nothing" for s in getattr(m, kind))
        if sets:
            claims.setdefault(sets, []).append(" ".join(f"{k}={v}" for k, v in chosen.items()))
    if not claims:
        return "not claimed"
    return "; ".join(
        f"if right: {sets}" + (f" ({', '.join(w)})" if any(w) else "") for sets, w in claims.items()
    )


def _options(cls: type[Method]) -> list[str]:
    rows = []
    for o in options(cls).values():
        default = (
            "must be given" if o.default is MISSING else f"`{format_value(o.default) or 'empty'}`"
        )
        rows.append(f"| `{o.name}` | {o.accepts} | {default} | {re.sub(r'[|]', '/', o.opt.help)} |")
    return rows
