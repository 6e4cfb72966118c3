"""Scenarios that are the same experiment under two names, found by their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .entries import NAIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .summary import Section


def distinct(scenarios: Sequence[Section]) -> tuple[list[Section], list[str]]:
    """Return the scenarios that are experiments of their own, and a sentence on each of the others.

    Two scenarios of a set are one experiment where every figure of every method is the same: on binary
    quality `u_shaped` draws the rows that `mcar` draws.

    Parameters
    ----------
    scenarios : sequence of Section
        The scenarios.

    Returns
    -------
    kept : list of Section
        The first of each experiment.
    notes : list of str
        One sentence for each scenario that repeats an earlier one.

    """
    kept: list[Section] = []
    notes = []
    for section in scenarios:
        name = section.settings["set"]
        first = next(
            (s for s in kept if s.settings["set"] == name and s.figures == section.figures), None
        )
        if first is None or {f.method for f in section.figures} <= {NAIVE}:
            kept.append(section)
            continue
        count = len({f.method for f in section.figures} - {NAIVE})
        mechanisms = [s.settings["mechanism"] for s in (section, first)]
        notes.append(
            f"On {name}, `{mechanisms[0]}` and `{mechanisms[1]}` are one experiment, with equal figures "
            f"of all {count} methods beside naive, and count once."
        )
    return kept, notes
