"""Published figures of the papers, with their sources: `published.json` holds all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

#: Noise rates, strength of the selection and rate of feedback: what identifies a scenario of a paper.
SCENARIO = ("alpha", "rate", "rho_01", "rho_10")


@dataclass(frozen=True)
class Table:
    """A published table of figures.

    Attributes
    ----------
    source : str
        Where the figures stand.
    backbone, chosen_on : str
        Backbone of the features, and what chose the configurations.
    scenario : dict of str to float
        The values of `SCENARIO`.
    metrics : tuple of str
        The metrics, in the table's order.
    figures : dict
        (set, method, metric) -> value.

    """

    source: str
    backbone: str
    chosen_on: str
    scenario: dict[str, float]
    metrics: tuple[str, ...]
    figures: dict[tuple[str, str, str], float]


@dataclass(frozen=True)
class Claim:
    """A published figure outside the tables.

    Attributes
    ----------
    quantity, source : str
        What it is, and where it stands.
    value : float or str
        The figure; text if it is no single number.
    needs : str or None
        What a comparison needs that the tables do not have.
    where : dict
        set, method, metric and noise rates of the figure; empty with ``needs``.

    """

    quantity: str
    source: str
    value: float | str
    needs: str | None
    where: dict[str, Any]


@cache
def _read() -> dict[str, Any]:
    file = resources.files("trueward.benchmark.reproduction") / "published.json"
    return dict(json.loads(file.read_text("utf-8")))


def name_of(paper: str) -> str:
    """Return the paper's name, number and version.

    Parameters
    ----------
    paper : str
        ``causalrm`` or ``implicitrm``.

    """
    return str(_read()[paper]["paper"])


def tables(paper: str) -> list[Table]:
    """Return the published tables of a paper.

    Parameters
    ----------
    paper : str
        ``causalrm`` or ``implicitrm``.

    Returns
    -------
    list of Table

    """
    return [
        Table(
            source=t["source"],
            backbone=t["backbone"],
            chosen_on=t["chosen_on"],
            scenario={k: t[k] for k in SCENARIO},
            metrics=tuple(t["metrics"]),
            figures={
                (name, method, metric): value
                for method, cells in t["rows"].items()
                for name, values in zip(t["sets"], cells, strict=True)
                if values is not None
                for metric, value in zip(t["metrics"], values, strict=True)
            },
        )
        for t in _read()[paper]["tables"]
    ]


def claims(paper: str) -> list[Claim]:
    """Return the published figures of a paper that stand in none of its tables.

    Parameters
    ----------
    paper : str
        ``causalrm`` or ``implicitrm``.

    Returns
    -------
    list of Claim

    """
    keys = ("set", "method", "metric", "rho_01", "rho_10")
    return [
        Claim(
            c["quantity"],
            c["source"],
            c["value"],
            c.get("needs"),
            {k: c[k] for k in keys if k in c},
        )
        for c in _read()[paper]["claims"]
    ]
