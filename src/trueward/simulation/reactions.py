"""The feedback model: draw who reacts and the label noise, given the propensities of a mechanism."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trueward.core.errors import UsageError
from trueward.core.random import numpy_stream

from .propensity import water_fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .selection import Selection

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reactions:
    """One draw of the feedback on n rows.

    Attributes
    ----------
    columns : list of polars.Series
        Columns of the log.
    truth : dict of str to array of float, shape (n,)
        Columns of the truth: propensity, observed, flipped, ...
    active : array of bool, shape (n,)
        Users who react; for clicks, who would react if satisfied.
    noiseless : array of float, shape (n,)
        The feedback without noise: r*, or r* A for mis-clicks.
    exposed : array of bool, shape (n,)
        Rows that noise can flip: the active rows, or all rows for mis-clicks.

    """

    columns: list[pl.Series]
    truth: dict[str, Array]
    active: Mask
    noiseless: Array
    exposed: Mask

    def realised(self, label: Array) -> dict[str, float | None]:
        """Return the realised rates of the draw.

        Parameters
        ----------
        label : array of float, shape (n,)
            True labels.

        Returns
        -------
        dict of str to float or None
            Prior, rates, propensities and noise rates. None: a mean over no rows.

        """
        p, flipped = self.truth["propensity"], self.truth["flipped"]
        m_1, m_0 = float(p[label > 0].mean()), float(p[label == 0].mean())
        result = {
            "prior": _mean(label),
            "rate": _mean(self.active.astype(float)),
            "observed": _mean(self.truth["observed"]),
            "mean_propensity": _mean(p),
            "max_propensity": float(p.max()),
            "saturated": int((p >= 1).sum()),
            "m_1": m_1,
            "m_0": m_0,
            "m_1/m_0": m_1 / m_0 if m_0 > 0 else None,
            "rho_01": _mean(flipped[self.exposed & (self.noiseless > 0)]),
            "rho_10": _mean(flipped[self.exposed & (self.noiseless == 0)]),
        }
        more = {k: v for k, v in self.truth.items() if k == "mu" or k.startswith("propensity.")}
        result |= {f"mean_{k}": _mean(v) for k, v in more.items()}
        if "opinion" in self.truth:
            result["opinion_differs"] = _mean((self.truth["opinion"] != label).astype(float))
        if "flip_rate" in self.truth:
            result["max_flip_rate"] = float(self.truth["flip_rate"].max())
        if "user_effect" in self.truth:
            result["users"] = len(np.unique(self.truth["user_effect"]))
        return result


def draw_reactions(
    selection: Selection, label: Array, rho_01: float, rho_10: float, seed: int
) -> Reactions:
    """Draw reactions and label noise, each from its own random stream.

    The truth column ``flipped`` is 1 where the feedback differs from r* (for mis-clicks: from r* A),
    through noise or through a user's leniency.

    Parameters
    ----------
    selection : Selection
        Propensities of n rows.
    label : array of float, shape (n,)
        True labels.
    rho_01, rho_10 : float
        Noise rates P(observed 0 | true 1) and P(observed 1 | true 0).
    seed : int
        Seed of the random streams.

    Returns
    -------
    Reactions

    """
    n = len(label)
    active, columns, truth = _activity(selection, label, numpy_stream(seed, "selection"))
    noiseless, exposed = (
        (label * active, np.ones(n, bool)) if selection.misclicks else (label, active)
    )
    rates = flip_rates(noiseless, rho_01, rho_10, selection.flip_weight)
    wrong = flips(rates, exposed, numpy_stream(seed, "noise"))
    opinion = noiseless if selection.opinion is None else selection.opinion
    feedback = np.where(wrong, 1 - opinion, opinion)
    # The log of clicks or channels does not say which users were active.
    latent = selection.clicks or bool(selection.channels)
    observed = exposed & (feedback > 0) if latent else active
    flipped = exposed & (feedback != noiseless)
    if not selection.channels:
        columns.insert(0, sparse("feedback", feedback, observed))
    truth |= {"observed": observed.astype(float), "flipped": flipped.astype(float)}
    truth |= {"activity": active.astype(float)} if latent else {}
    truth |= {"mu": selection.propensity} if selection.clicks else {}
    truth |= {} if selection.flip_weight is None else {"flip_rate": rates}
    return Reactions(columns, truth | selection.truth, active, noiseless, exposed)


def flip_rates(label: Array, rho_01: float, rho_10: float, weight: Array | None = None) -> Array:
    """Return P(flip) of each row: rho_01 where r* = 1, rho_10 where r* = 0.

    With weights it is min(1, k weight) in each class, with the k that makes the mean of the class
    rho_01 or rho_10.

    Parameters
    ----------
    label : array of float, shape (n,)
        0 or 1.
    rho_01, rho_10 : float
        Noise rates, at least 0, with a sum below 1.
    weight : array of float, shape (n,), optional
        None: equal rates within a class.

    Returns
    -------
    array of float, shape (n,)

    Raises
    ------
    UsageError
        If a noise rate is out of range.

    """
    if not (0 <= rho_01 < 1 and 0 <= rho_10 < 1 and rho_01 + rho_10 < 1):
        raise UsageError(
            f"noise rates must be at least 0 and rho_01 + rho_10 below 1, found rho_01={rho_01} and "
            f"rho_10={rho_10}; with a sum of 1 or more the feedback would mean its opposite"
        )
    rates = np.where(label > 0, rho_01, rho_10)
    if weight is not None:
        for rows, rho in ((label > 0, rho_01), (label == 0, rho_10)):
            if rho > 0 and rows.any():
                rates[rows] = water_fill(weight[rows], rho)
    return rates


def flips(rates: Array, exposed: Mask, rng: np.random.Generator) -> Mask:
    """Draw the flips: P(flip) = rates, on exposed rows only.

    Every row uses one random number, exposed or not. So other exposed rows do not change the flips
    of a row, and a larger rate keeps the flips of a smaller one.

    Parameters
    ----------
    rates : array of float, shape (n,)
        P(flip) of each row.
    exposed : array of bool, shape (n,)
        Rows that noise can flip.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    array of bool, shape (n,)

    """
    return np.asarray(exposed & (rng.random(len(rates)) < rates))


def sparse(name: str, values: Array, known: Mask) -> pl.Series:
    """Return a column with ``values`` where ``known``, and null elsewhere.

    Parameters
    ----------
    name : str
        Name of the column.
    values : array of float, shape (n,)
        Values.
    known : array of bool, shape (n,)
        Rows with a value.

    Returns
    -------
    polars.Series, length n

    """
    pairs = zip(values.tolist(), known.tolist(), strict=True)
    return pl.Series(name, [v if k else None for v, k in pairs], dtype=pl.Float64)


def _activity(
    selection: Selection, label: Array, rng: np.random.Generator
) -> tuple[Mask, list[pl.Series], dict[str, Array]]:
    """Draw who is active; return that, the log's columns beside the feedback, and the truth."""
    columns = []
    if selection.user is not None:
        columns.append(pl.Series("user_id", [f"user {u}" for u in selection.user]))
    columns += [v.alias(f"context.{k}") for k, v in selection.context.items()]
    columns += selection.columns
    truth = {"propensity": selection.propensity}
    if not selection.channels:
        reacts = selection.propensity if selection.reacts is None else selection.reacts
        return rng.random(len(label)) < reacts, columns, truth
    active = np.zeros(len(label), dtype=bool)
    for k, mu in selection.channels.items():
        channel = rng.random(len(label)) < mu
        active |= channel
        truth |= {f"propensity.{k}": mu, f"activity.{k}": channel.astype(float)}
        columns.append(pl.Series(f"channel.{k}", channel * label))
    return active, columns, truth


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
