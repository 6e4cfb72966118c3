"""What the page of a reproduction is written from, and its figures as plain rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueward.benchmark.protocols import AS_PUBLISHED, BY_PROMPT, CHOICES, ON_TEST

from .comparison import METRICS, agreement, differences
from .methods import rows_of
from .published import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .comparison import Figures
    from .experiments import Settings
    from .methods import Row
    from .published import Table


@dataclass(frozen=True)
class Report:
    """What a page is written from.

    Attributes
    ----------
    settings : Settings
        Choices of the user.
    figures : Figures
        Our figures.
    complete : dict of str to bool
        Set of the paper -> whether its files hold the whole set.
    papers_backbone : bool
        Whether the backbone is that of the papers' code.
    notes : tuple of str
        What was found of the data and the backbone.
    jobs, left : int
        Jobs of both protocols, and those that are not finished.

    """

    settings: Settings
    figures: Figures
    complete: dict[str, bool]
    papers_backbone: bool
    notes: tuple[str, ...]
    jobs: int
    left: int

    def differs(self, name: str) -> list[str]:
        """Return what makes a set's figures not comparable with the published ones."""
        return differences(
            self.settings,
            name,
            complete=self.complete[name],
            papers_backbone=self.papers_backbone,
        )

    def title(self, name: str) -> str:
        """Return the name of a set, with the set that was read in its place."""
        read = self.settings.sets[name]
        return name if read == name else f"{name} ({read} in its place)"

    @property
    def scenarios(self) -> list[dict[str, float]]:
        """Scenarios of the published tables, each once."""
        seen: list[dict[str, float]] = []
        for table in tables(self.settings.paper):
            seen += [dict(table.scenario)] if table.scenario not in seen else []
        return seen


def long_table(report: Report) -> list[dict[str, Any]]:
    """Return every figure as a plain row: our mean and interval, and the published figure beside it.

    Parameters
    ----------
    report : Report
        What it is written from.

    Returns
    -------
    list of dict

    """
    found = []
    for row, where, protocol, choice, metric in _every(report):
        ours = report.figures.figure(protocol, where, row.label(protocol), choice, metric)
        if ours is None:
            continue
        shown = protocol == AS_PUBLISHED and choice == ON_TEST
        published = _published(report, row, where, metric) if shown else None
        found.append(
            {
                "paper": report.settings.paper, "set": where["set"],
                "read": report.settings.sets[where["set"]], "alpha": where["alpha"],
                "rate": where["rate"], "rho_01": where["rho_01"], "rho_10": where["rho_10"],
                "method": row.key, "protocol": protocol, "choice": choice, "metric": metric,
                "mean": ours.value, "low": ours.low, "high": ours.high, "published": published,
                "agrees": agreement(published, ours, report.differs(where["set"])),
            }
        )  # fmt: skip
    return found


def _every(report: Report) -> Iterable[tuple[Row, dict[str, Any], str, str, str]]:
    for scenario in report.scenarios:
        for name in report.settings.sets:
            for row in rows_of(report.settings.paper):
                for protocol in (AS_PUBLISHED, BY_PROMPT):
                    for choice in CHOICES:
                        for metric in METRICS:
                            yield row, {"set": name, **scenario}, protocol, choice, metric


def _published(report: Report, row: Row, where: dict[str, Any], metric: str) -> float | None:
    at: Sequence[Table] = [
        t
        for t in tables(report.settings.paper)
        if all(t.scenario[k] == where[k] for k in t.scenario)
    ]
    values = [t.figures.get((where["set"], row.key, metric)) for t in at]
    return next((v for v in values if v is not None), None)
