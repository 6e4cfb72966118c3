"""Scenarios of a benchmark: mechanisms crossed with alpha and noise rates."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream
from trueward.simulation import MECHANISMS, helpdesk, simulate

from .validation import as_list, known_keys, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

#: Mechanism of a set with its own feedback: nothing is simulated.
LOGGED = "logged"
# Arguments of `simulate` that the benchmark sets.
_OWN = {"rated", "mechanism", "features", "seed", "test_share", "threshold"}


@dataclass(frozen=True)
class Scenario:
    """Arguments of `simulate`.

    Attributes
    ----------
    mechanism : str
        Name of the mechanism, or ``logged``.
    alpha : float
        Strength of the selection, in (0, 1]; 1 is none.
    rate : float or None
        Mean propensity. None: the default of `simulate`.
    rho_01, rho_10 : float
        Noise rates P(observed 0 | true 1) and P(observed 1 | true 0).
    gold : int
        Number of gold labels.
    more : mapping
        Further arguments.

    """

    mechanism: str
    alpha: float = 1.0
    rate: float | None = None
    rho_01: float = 0.0
    rho_10: float = 0.0
    gold: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the values."""
        where = f"mechanism {self.mechanism}"
        if not 0 < self.alpha <= 1:
            raise UsageError(f"{where}: alpha must lie in (0, 1], found {self.alpha}")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise UsageError(f"{where}: rate must lie in (0, 1], found {self.rate}")
        if min(self.rho_01, self.rho_10) < 0 or self.rho_01 + self.rho_10 >= 1:
            raise UsageError(
                f"{where}: noise rates must be at least 0 and rho_01 + rho_10 below 1, found "
                f"rho_01={self.rho_01}, rho_10={self.rho_10}"
            )
        if self.gold < 0:
            raise UsageError(f"{where}: gold must be at least 0, found {self.gold}")


def read_scenarios(
    read: Any, alphas: list[float], noises: list[dict[str, float]], shared: Mapping[str, Any]
) -> list[Scenario]:
    """Return the product of mechanisms, alphas and noise rates.

    Each scenario is simulated on a small table, so an invalid one is found before any job runs.

    Parameters
    ----------
    read : object
        Value of the YAML: a list of names and mappings. ``all`` stands for all mechanisms that are
        not named; those that allow no label noise are simulated without it.
    alphas : list of float
        Values of alpha.
    noises : list of dict
        Noise rates, ``rho_01`` and ``rho_10``.
    shared : mapping
        Further arguments of every scenario.

    Returns
    -------
    list of Scenario

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    named = [m for m in as_list(read) if m != "all"]
    result = [s for m in named for s in scenarios(m, alphas, noises, shared)]
    if "all" in as_list(read):
        names = {s.mechanism for s in result}
        for name in (m for m in MECHANISMS if m not in names):
            for s in scenarios(name, alphas, noises, shared):
                noiseless = replace(s, rho_01=0.0, rho_10=0.0)
                valid = noiseless if error_of(s) and not error_of(noiseless) else s
                result += [valid] if valid not in result else []
    for s in result:
        if error := error_of(s):
            raise UsageError(error)
    return result


def error_of(s: Scenario) -> str | None:
    """Return the error of `simulate` for a scenario, on a small table; None if it is valid.

    Parameters
    ----------
    s : Scenario
        The scenario.

    Returns
    -------
    str or None
        The message, with the name of the mechanism.

    """
    table, x = _small()
    try:
        simulate(
            table, mechanism=s.mechanism, alpha=s.alpha, rate=s.rate, rho_01=s.rho_01,
            rho_10=s.rho_10, features=x, **s.more,
        )  # fmt: skip
    except UsageError as e:
        return f"mechanism {s.mechanism}: {e}"
    return None


@cache
def _small() -> tuple[pl.DataFrame, NDArray[np.float64]]:
    table = helpdesk(100, seed=0)
    return table, numpy_stream(0, "small").standard_normal((len(table), 8))


def noise_entry(read: Any) -> dict[str, float]:
    """Read {rho_01: .., rho_10: ..} or ``none``; raise UsageError for anything else.

    Parameters
    ----------
    read : object
        The value of the YAML.

    Returns
    -------
    dict of str to float
        Noise rates ``rho_01`` and ``rho_10``; 0 where not given.

    Raises
    ------
    UsageError
        If it is neither none nor a mapping of these names to numbers.

    """
    if read is None or read == "none":
        return {"rho_01": 0.0, "rho_10": 0.0}
    if not isinstance(read, dict):
        raise UsageError(
            f"noise must give rho_01 = P(observed 0 given true 1) and rho_10 = P(observed 1 given "
            f"true 0) by name, such as {{rho_01: 0.1, rho_10: 0.2}}, or be none; found {read!r}"
        )
    known_keys(read, ("rho_01", "rho_10"), "noise")
    return {k: number(read.get(k, 0.0), f"noise: {k}") for k in ("rho_01", "rho_10")}


def scenarios(
    read: Any, alphas: list[float], noises: list[dict[str, float]], shared: Mapping[str, Any]
) -> list[Scenario]:
    """Return the scenarios of one mechanism.

    Parameters
    ----------
    read : object
        Value of the YAML: a name or a mapping. Its own alpha, rate and noise replace the shared ones.
    alphas : list of float
        Shared values of alpha.
    noises : list of dict
        Shared noise rates.
    shared : mapping
        Further arguments.

    Returns
    -------
    list of Scenario

    Raises
    ------
    UsageError
        If a value is invalid.

    """
    given = {"name": read} if isinstance(read, str) else read
    allowed = set(inspect.signature(simulate).parameters) - _OWN
    known_keys(given, {"name", "noise", *allowed}, "a mechanism")
    name = _name(given)
    rest = {k: v for k, v in {**shared, **given}.items() if k not in ("name", "alpha", "noise")}
    more = {k: v for k, v in rest.items() if k not in ("rate", "gold", "rho_01", "rho_10")}
    if "alpha" in given:
        alphas = [number(a, f"mechanism {name}: alpha") for a in as_list(given["alpha"])]
    if "noise" in given:
        noises = [noise_entry(n) for n in as_list(given["noise"])]
    rates = [
        None if r is None else number(r, f"mechanism {name}: rate")
        for r in as_list(rest.get("rate"))
    ]
    own = {k: number(rest[k], f"mechanism {name}: {k}") for k in ("rho_01", "rho_10") if k in rest}
    gold = rest.get("gold", 0)
    if type(gold) is not int:
        raise UsageError(f"mechanism {name}: gold must be a whole number, found {gold!r}")
    return [
        Scenario(
            mechanism=name,
            alpha=alpha,
            rate=rate,
            gold=gold,
            more=more,
            **noise | own,
        )
        for rate in rates
        for alpha in alphas
        for noise in noises
    ]


def _name(given: Mapping[str, Any]) -> str:
    word = given.get("name")
    key = word.strip().lower().replace("-", "_") if isinstance(word, str) else word
    return one_of(key, MECHANISMS, "mechanism")
