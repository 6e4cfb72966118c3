"""Where things of a chart go: ends of its axes, labels at the ends of its lines, and the widths of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDEST, THINNEST = 3.5, 2.0  # widths of lines, in pixels


def fitting_domain(values: Sequence[float], *, room: bool = True) -> tuple[float, float]:
    """Return the ends of an axis that fits values, with a twentieth of their range as room at either end.

    Parameters
    ----------
    values : sequence of float
        At least one value.
    room : bool, default True
        Leave room; without it the ends are the extremes.

    Returns
    -------
    tuple of float
        Lower and upper end.

    Examples
    --------
    >>> fitting_domain([0.0, 1.0])
    (-0.05, 1.05)

    """
    low, high = float(min(values)), float(max(values))
    gap = (high - low) / 20 if room else 0.0
    if high == low:
        gap = abs(high) / 20 or 0.05
    return low - gap, high + gap


def spread_out(positions: Sequence[float], least: float, ends: tuple[float, float]) -> list[float]:
    """Move positions apart until neighbours have a distance, in their order and near where they were.

    Parameters
    ----------
    positions : sequence of float
        Where labels would be.
    least : float
        Smallest distance of two labels.
    ends : tuple of float
        Lowest and highest position.

    Returns
    -------
    list of float
        Where they are, in the order of ``positions``.

    Examples
    --------
    >>> spread_out([0.5, 0.5], 0.1, (0.0, 1.0))
    [0.45, 0.55]

    """
    groups = [[i] for i in sorted(range(len(positions)), key=lambda i: positions[i])]

    def middle(group: list[int]) -> float:
        half = least * (len(group) - 1) / 2
        mean = sum(positions[i] for i in group) / len(group)
        return min(max(mean, ends[0] + half), ends[1] - half)

    k = 1
    while k < len(groups):  # merge neighbours that are too near
        one, other = groups[k - 1], groups[k]
        if middle(other) - middle(one) < least * (len(one) + len(other)) / 2 - 1e-12:
            groups[k - 1 : k + 1] = [one + other]
            k = max(1, k - 1)
        else:
            k += 1
    found = [0.0] * len(positions)
    for group in groups:
        start = middle(group) - least * (len(group) - 1) / 2
        for j, i in enumerate(group):
            found[i] = round(start + j * least, 12)
    return found


def line_widths(count: int) -> list[float]:
    """Return a width for each of several lines, the first the widest: what lies below another shows.

    Parameters
    ----------
    count : int
        Number of lines.

    Returns
    -------
    list of float
        Widths in pixels.

    """
    step = (WIDEST - THINNEST) / max(1, count - 1)
    return [THINNEST] if count == 1 else [WIDEST - step * k for k in range(count)]


def label_room(names: Sequence[str]) -> dict[str, float]:
    """Return the padding of a chart with room at the right for the names of its lines.

    Parameters
    ----------
    names : sequence of str
        The names; one alone is not shown.

    Returns
    -------
    dict of str to float
        Padding in pixels by side.

    """
    longest = max(map(len, names), default=0) if len(names) > 1 else 0
    return {"left": 5, "top": 5, "bottom": 5, "right": 8 + 7.5 * longest}
