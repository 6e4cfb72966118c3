"""Mechanisms of selection in which the features decide who rates, beside or in place of the quality.

Parameters and results are those of `selection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .propensity import power, water_fill
from .scores import quality_score, random_score
from .selection import LogRows, Selection

if TYPE_CHECKING:
    from numpy.typing import NDArray


def label_and_looks(r: LogRows, alpha: float, rate: float, rng: np.random.Generator) -> Selection:
    """p proportional to alpha^(2 (1 - r*)) (1/alpha)^(x v), v random: the label and the features decide."""
    label: NDArray[np.float64] = np.where(r.label > 0, 1.0, alpha**2)
    return Selection(water_fill(label * power(alpha, -random_score(r.features(), rng)), rate))


def looks_like_quality(
    r: LogRows, alpha: float, rate: float, rng: np.random.Generator
) -> Selection:
    """p proportional to (1/alpha)^u: missing at random given x, along what the features say of the quality.

    u is the standardised ridge fit of the rating on x.
    """
    del rng
    return Selection(water_fill(power(alpha, -quality_score(r.features(), r.rating)), rate))
