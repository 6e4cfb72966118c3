"""Who reacts: each mechanism is one function from the rated rows to propensities.

A mechanism is found by its name here; nothing is registered. Its docstring begins with its rule.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trueward.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rated:
    """The rows of the log as the world knows them."""

    rating: Array  # (n,) rescaled to [1, 5]
    label: Array  # (n,) 1 where the response is truly good, else 0
    features: Callable[[], Array]  # () -> (n, d), computed only by the mechanisms that read it


@dataclass(frozen=True, eq=False)
class Selection:
    """The chance of a reaction, and what of it the log will show."""

    propensity: Array  # (n,) chance that the user reacts, at most 1
    context: dict[str, pl.Series] = field(default_factory=dict)  # logged as context.*
    channels: dict[str, Array] = field(default_factory=dict)  # name -> (n,) chance of activity
    clicks: bool = False  # the log shows a 1 or nothing: no zeros


def water_fill(weights: NDArray[Any], rate: float) -> Array:
    """Give p = min(1, k w) with the one k that makes mean p = rate.

    weights: (n,), finite and not negative; rate in (0, 1]. Where the weights are so uneven that
    many rows would pass 1, those rows saturate and the rest share what is left.
    """
    w = np.asarray(weights, dtype=np.float64)
    if not 0 < rate <= 1:
        raise UsageError(f"the rate of feedback must lie in (0, 1], not {rate}; try rate=0.2")
    if w.ndim != 1 or len(w) == 0 or not np.isfinite(w).all() or (w < 0).any():
        raise UsageError("the weights of a selection must be a row of finite numbers >= 0")
    target = rate * len(w)
    positive = int((w > 0).sum())
    if positive < target - 1e-9 * len(w):
        raise UsageError(
            f"a rate of {rate} needs {target:.0f} rows that can react, but only {positive} of "
            f"{len(w)} have a weight above 0; ask for a lower rate or a larger alpha"
        )
    w = w / w.max()
    falling = np.sort(w)[::-1]
    left = np.cumsum(falling[::-1])[::-1]  # sum of the weights from row j on
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (target - np.arange(len(w))) / left
        fits = k * falling <= 1 + 1e-9
    return np.asarray(np.minimum(1.0, k[int(np.argmax(fits))] * w), dtype=np.float64)


def _power(alpha: float, exponent: Array) -> Array:
    """Take alpha^exponent up to a factor, with the largest weight 1."""
    return np.asarray(alpha ** (exponent - exponent.min()), dtype=np.float64)


def _direction(x: Array, rng: np.random.Generator) -> Array:
    """Project x onto one random v, both sides standardised; constant columns are left out."""
    x = x[:, x.std(axis=0) > 0]
    if x.shape[1] == 0:
        raise UsageError("this mechanism needs features that differ between rows, and none does")
    u = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.standard_normal(x.shape[1])
    spread = u.std()
    return np.asarray((u - u.mean()) / spread if spread > 0 else u, dtype=np.float64)


def mcar(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React with p = rate: nothing decides, and nothing should beat naive."""
    del alpha, rng
    return Selection(np.full(len(r.label), rate))


def rating(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(5 - rating'): the better the response, the likelier a reaction."""
    del rng
    return Selection(water_fill(_power(alpha, 5 - r.rating), rate))


def annoyed(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(rating' - 1): the worse the response, the likelier a reaction."""
    del rng
    return Selection(water_fill(_power(alpha, r.rating - 1), rate))


def u_shaped(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^min(5 - rating', rating' - 1): strong opinions react, on both sides."""
    del rng
    return Selection(water_fill(_power(alpha, np.minimum(5 - r.rating, r.rating - 1)), rate))


def label(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """React with p = m_1 to a good response, m_0 = alpha^2 m_1 to a bad one: the label decides."""
    del rng
    return Selection(water_fill(np.where(r.label > 0, 1.0, alpha**2), rate))


def mar(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by (1/alpha)^(standardised x v), v fixed and random: the look of the text decides."""
    return Selection(water_fill(_power(alpha, -_direction(r.features(), rng)), rate))


def context(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Weigh by alpha^(device + (position - 1)/2): the situation decides, and the log shows it.

    device costs 0 (desktop), 1 (tablet) or 2 (phone); position is 1 to 5. Neither knows how good
    the response is.
    """
    n = len(r.label)
    device = rng.choice(3, size=n, p=[0.35, 0.15, 0.5])
    position = rng.integers(1, 6, size=n)
    shown = {
        "device": pl.Series("device", np.array(["desktop", "tablet", "phone"])[device]),
        "position": pl.Series("position", position.astype(np.float64)),
    }
    return Selection(water_fill(_power(alpha, device + (position - 1) / 2), rate), context=shown)


def implicit(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Click with y = o r*, o as in `rating`: no click may mean bad, or that nobody looked."""
    return Selection(rating(r, alpha, rate, rng).propensity, clicks=True)


def two_channel(r: Rated, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """Log y^k = r* A^k, A^copy and A^like independent given x, with chances mu_k(x).

    mu_k is water-filled from w = (1/alpha)^(standardised x v_k), each k with its own v_k; the mean
    of mu_copy is the rate and that of mu_like half of it.
    """
    x = r.features()
    mu = {
        "copy": water_fill(_power(alpha, -_direction(x, rng)), rate),
        "like": water_fill(_power(alpha, -_direction(x, rng)), rate / 2),
    }
    return Selection(1 - (1 - mu["copy"]) * (1 - mu["like"]), channels=mu)


MECHANISMS: dict[str, Callable[[Rated, float, float, np.random.Generator], Selection]] = {
    name: f
    for name, f in list(globals().items())
    if inspect.isfunction(f) and f.__annotations__.get("return") == "Selection"
}


def mechanism_named(name: str) -> str:
    """Give the key of ``name`` in MECHANISMS; hyphens and underscores are the same."""
    key = name.strip().lower().replace("-", "_")
    if key not in MECHANISMS:
        raise UsageError(f"there is no mechanism {name!r}; choose one of {', '.join(MECHANISMS)}")
    return key
