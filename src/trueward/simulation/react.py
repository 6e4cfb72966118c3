"""Draw who reacts and what is said: the columns of the log, and those of the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.random import numpy_stream

from .noise import flip_rates, flips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .selection import Selection

    Array = NDArray[np.float64]
    Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reaction:
    """What came of one selection."""

    shown: list[pl.Series]  # columns of the log
    truth: dict[str, Array]  # (n,) each: propensity, observed, flipped, ...
    active: Rows  # (n,) who reacted, or would have if satisfied
    meant: Array  # (n,) 1 where the feedback should be 1: r*, or r* A under mis-clicks
    able: Rows  # (n,) where noise can strike: the active rows, or all under mis-clicks

    def realised(self, label: Array) -> dict[str, float | None]:
        """Say what the draws came to; None where there is nothing to take a share of."""
        p, flipped = self.truth["propensity"], self.truth["flipped"]
        m_1, m_0 = float(p[label > 0].mean()), float(p[label == 0].mean())
        found = {
            "prior": _mean(label),
            "rate": _mean(self.active.astype(float)),
            "observed": _mean(self.truth["observed"]),
            "mean_propensity": _mean(p),
            "max_propensity": float(p.max()),
            "saturated": int((p >= 1).sum()),
            "m_1": m_1,
            "m_0": m_0,
            "m_1/m_0": m_1 / m_0 if m_0 > 0 else None,
            "rho_01": _mean(flipped[self.able & (self.meant > 0)]),
            "rho_10": _mean(flipped[self.able & (self.meant == 0)]),
        }
        more = {k: v for k, v in self.truth.items() if k == "mu" or k.startswith("propensity.")}
        found |= {f"mean_{k}": _mean(v) for k, v in more.items()}
        if "opinion" in self.truth:
            found["opinion_differs"] = _mean((self.truth["opinion"] != label).astype(float))
        if "flip_rate" in self.truth:
            found["max_flip_rate"] = float(self.truth["flip_rate"].max())
        if "user_effect" in self.truth:
            found["users"] = len(np.unique(self.truth["user_effect"]))
        return found


def react(sel: Selection, label: Array, rho_01: float, rho_10: float, seed: int) -> Reaction:
    """Draw reactions and noise, each from its own stream.

    ``flipped`` is 1 where the feedback is not what r* (under mis-clicks: r* A) would have given,
    by noise or by a user's leniency.
    """
    n = len(label)
    active, shown, truth = _activity(sel, label, numpy_stream(seed, "selection"))
    meant, able = (label * active, np.ones(n, bool)) if sel.misclicks else (label, active)
    rates = flip_rates(meant, rho_01, rho_10, sel.slips)
    wrong = flips(rates, able, numpy_stream(seed, "noise"))
    said = meant if sel.opinion is None else sel.opinion
    said = np.where(wrong, 1 - said, said)
    latent = sel.clicks or bool(sel.channels)  # the log does not say who could have reacted
    observed = able & (said > 0) if latent else active
    flipped = able & (said != meant)
    if not sel.channels:
        shown.insert(0, sparse("feedback", said, observed))
    truth |= {"observed": observed.astype(float), "flipped": flipped.astype(float)}
    truth |= {"activity": active.astype(float)} if latent else {}
    truth |= {"mu": sel.propensity} if sel.clicks else {}
    truth |= {} if sel.slips is None else {"flip_rate": rates}
    return Reaction(shown, truth | sel.truth, active, meant, able)


def _activity(
    sel: Selection, label: Array, rng: np.random.Generator
) -> tuple[Rows, list[pl.Series], dict[str, Array]]:
    """Draw who is active: (n,) rows, the log's columns beside the feedback, the truth of both."""
    shown = [] if sel.user is None else [pl.Series("user_id", [f"user {u}" for u in sel.user])]
    shown += [v.alias(f"context.{k}") for k, v in sel.context.items()]
    truth = {"propensity": sel.propensity}
    if not sel.channels:
        return rng.random(len(label)) < sel.propensity, shown, truth
    active = np.zeros(len(label), dtype=bool)
    for k, mu in sel.channels.items():
        act = rng.random(len(label)) < mu
        active |= act
        truth |= {f"propensity.{k}": mu, f"activity.{k}": act.astype(float)}
        shown.append(pl.Series(f"channel.{k}", act * label))
    return active, shown, truth


def sparse(name: str, values: Array, known: Rows) -> pl.Series:
    """Make a column of ``values`` where ``known`` and null elsewhere."""
    pairs = zip(values.tolist(), known.tolist(), strict=True)
    return pl.Series(name, [v if k else None for v, k in pairs], dtype=pl.Float64)


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
