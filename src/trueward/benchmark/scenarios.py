"""Who reacts in a benchmark: mechanisms crossed with strengths of selection and noise."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream
from trueward.simulation import MECHANISMS, helpdesk, simulate

from .names import known_keys, listed, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

LOGGED = "logged"  # the mechanism of a set with feedback of its own: nothing is simulated
# what the benchmark itself decides for `simulate`
_OWN = {"rated", "mechanism", "features", "seed", "test_share", "threshold"}


@dataclass(frozen=True)
class Scenario:
    """Who reacts, how often, and how wrongly: the arguments of `simulate`."""

    mechanism: str
    alpha: float = 1.0
    rate: float | None = None
    rho_01: float = 0.0
    rho_10: float = 0.0
    gold: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        where = f"mechanism {self.mechanism}"
        if not 0 < self.alpha <= 1:
            raise UsageError(f"{where}: alpha must lie in (0, 1], and is {self.alpha}")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise UsageError(f"{where}: rate must lie in (0, 1], and is {self.rate}")
        if min(self.rho_01, self.rho_10) < 0 or self.rho_01 + self.rho_10 >= 1:
            raise UsageError(
                f"{where}: noise rates must be at least 0 and rho_01 + rho_10 below 1, and are "
                f"rho_01={self.rho_01}, rho_10={self.rho_10}"
            )
        if self.gold < 0:
            raise UsageError(f"{where}: gold must be 0 or more, and is {self.gold}")


def read_scenarios(
    read: Any, alphas: list[float], noises: list[dict[str, float]], shared: Mapping[str, Any]
) -> list[Scenario]:
    """Cross mechanisms with alphas and noises; ``all`` is every mechanism not named beside it.

    Each is tried on a small world, so that what `simulate` refuses is known before any work. Of
    ``all``, a mechanism that cannot have noise goes without.
    """
    named = [m for m in listed(read) if m != "all"]
    found = [s for m in named for s in scenarios(m, alphas, noises, shared)]
    if "all" in listed(read):
        have = {s.mechanism for s in found}
        for name in (m for m in MECHANISMS if m not in have):
            for s in scenarios(name, alphas, noises, shared):
                calm = replace(s, rho_01=0.0, rho_10=0.0)
                kept = calm if refused(s) and not refused(calm) else s
                found += [kept] if kept not in found else []
    for s in found:
        if sentence := refused(s):
            raise UsageError(sentence)
    return found


def refused(s: Scenario) -> str | None:
    """What `simulate` says against a scenario on a small world; None if it takes it."""
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
    """Read {rho_01: .., rho_10: ..}, or none."""
    if read is None or read == "none":
        return {"rho_01": 0.0, "rho_10": 0.0}
    if not isinstance(read, dict):
        raise UsageError(
            f"noise takes rho_01 = P(observed 0 given true 1) and rho_10 = P(observed 1 given true "
            f"0) by name, like {{rho_01: 0.1, rho_10: 0.2}}, or none; not {read!r}"
        )
    known_keys(read, ("rho_01", "rho_10"), "noise")
    return {k: number(read.get(k, 0.0), f"noise: {k}") for k in ("rho_01", "rho_10")}


def scenarios(
    read: Any, alphas: list[float], noises: list[dict[str, float]], shared: Mapping[str, Any]
) -> list[Scenario]:
    """Cross a mechanism with every alpha and noise, but where it has its own."""
    given = {"name": read} if isinstance(read, str) else read
    allowed = set(inspect.signature(simulate).parameters) - _OWN
    known_keys(given, {"name", "noise", *allowed}, "a mechanism")
    name = _name(given)
    rest = {k: v for k, v in {**shared, **given}.items() if k not in ("name", "alpha", "noise")}
    more = {k: v for k, v in rest.items() if k not in ("rate", "gold", "rho_01", "rho_10")}
    if "alpha" in given:
        alphas = [number(a, f"mechanism {name}: alpha") for a in listed(given["alpha"])]
    if "noise" in given:
        noises = [noise_entry(n) for n in listed(given["noise"])]
    rate, gold = rest.get("rate"), rest.get("gold", 0)
    if type(gold) is not int:
        raise UsageError(f"mechanism {name}: gold takes a whole number, not {gold!r}")
    return [
        Scenario(
            mechanism=name,
            alpha=alpha,
            rate=None if rate is None else number(rate, f"mechanism {name}: rate"),
            gold=gold,
            more=more,
            **{**noise, **{k: rest[k] for k in noise if k in rest}},
        )
        for alpha in alphas
        for noise in noises
    ]


def _name(given: Mapping[str, Any]) -> str:
    word = given.get("name")
    key = word.strip().lower().replace("-", "_") if isinstance(word, str) else word
    return one_of(key, MECHANISMS, "mechanism")
