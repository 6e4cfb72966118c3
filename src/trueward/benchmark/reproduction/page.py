"""The page of a reproduction: tables in the papers' layout, the protocols side by side, and what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueward.benchmark.protocols import (
    AS_PUBLISHED,
    BY_PROMPT,
    CLEAN,
    OBSERVABLE,
    ON_TEST,
)
from trueward.benchmark.table import NAMES, plus_minus

from .comparison import agreement, published_figure
from .methods import rows_of
from .published import claims, name_of, tables

if TYPE_CHECKING:
    from trueward.core.estimate import Estimate

    from .published import Table
    from .report import Report

HEADINGS = {**NAMES, "rmse": "RMSE ↓"}
#: Columns of the table of protocols: heading, protocol, choice, metric.
SIDE_BY_SIDE = (
    ("R2: as published, test labels", AS_PUBLISHED, ON_TEST, "r2"),
    ("R2: as published, clean validation", AS_PUBLISHED, CLEAN, "r2"),
    ("R2: as published, observable", AS_PUBLISHED, OBSERVABLE, "r2"),
    ("R2: by prompt, clean validation", BY_PROMPT, CLEAN, "r2"),
    ("R2: by prompt, observable", BY_PROMPT, OBSERVABLE, "r2"),
    ("AUROC: by prompt, observable", BY_PROMPT, OBSERVABLE, "auroc"),
    ("MAE: by prompt, observable", BY_PROMPT, OBSERVABLE, "mae"),
)

VERDICT = """\
Ours: rows split as published, the trial of the highest R2 on the test labels. *Agrees*: the published
figure lies in our interval over seeds. The tables' published figures are of one seed, without interval."""
PROTOCOLS_EXPLAINED = """\
*As published*: the hub's test split where the set has one, else 20 % of the rows; of the others 80 % train
and 20 % validate, by row, so the responses to a prompt stand on both sides; options and search of the
authors. *By prompt*: all splits pooled, 70/10/20 by prompt; options and search of this benchmark."""
CHOICES_EXPLAINED = """\
The trial is chosen by R2 on the *test labels*, as in the authors' notebook; by R2 on *clean validation*
labels; or by an *observable* figure, the log-loss of the feedback on validation rows. Only the last needs
no true labels. `clean-mcar` and `oracle` are trained on true labels."""
GAIN_EXPLAINED = """\
Mean over the paper's methods of the difference in R2 between two choices among the same trials, rows split
as published, with its interval over seeds."""
AGAINST_NAIVE = """\
Difference to naive under the same protocol and choice, paired by seed; above 0 the paper's method is
better."""


def markdown(report: Report) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    report : Report
        What it is written from.

    """
    lines = [f"# Reproduction of {name_of(report.settings.paper)}", "", *_head(report)]
    lines += ["", "## In the paper's layout", "", *_layout_intro(report)]
    for table in tables(report.settings.paper):
        lines += _layout(report, table)
    lines += ["", "## The protocols side by side", "", PROTOCOLS_EXPLAINED, "", CHOICES_EXPLAINED]
    for scenario in report.scenarios:
        for name in report.settings.sets:
            lines += _side_by_side(report, {"set": name, **scenario})
    lines += ["", "## What the choice adds", "", *_choice(report)]
    lines += ["", "## The paper's method against naive", "", *_against_naive(report)]
    lines += ["", "## Published figures outside the tables", "", *_claims(report)]
    lines += _lost(report)
    return "\n".join(lines) + "\n"


def _head(report: Report) -> list[str]:
    s = report.settings
    epochs = "600 as published, the usual by prompt" if s.epochs is None else str(s.epochs)
    seeds = "1 seed" if len(s.seeds) == 1 else f"{len(s.seeds)} seeds"
    lines = [f"{seeds}, {s.trials} trials of random search for every method in either protocol."]
    lines[0] += f" Largest number of epochs: {epochs}."
    lines[0] += " ± is half of the 95 % t-interval of the mean over seeds."
    if report.left:
        lines += ["", f"**{report.left} of {report.jobs} jobs are not finished.**"]
    return [*lines, "", *(f"- {note}" for note in report.notes)]


def _layout_intro(report: Report) -> list[str]:
    """Return how to read the verdicts, and what differs for each set."""
    lines = [VERDICT]
    for name in report.settings.sets:
        if found := report.differs(name):
            lines += ["", f"**{report.title(name)}: not comparable**: {'; '.join(found)}."]
    return lines


def _layout(report: Report, table: Table) -> list[str]:
    """Return a published table with our figures beside it, one table a metric."""
    sets = list(report.settings.sets)
    lines = []
    for metric in table.metrics:
        head = ["method"]
        for name in sets:
            title = report.title(name)
            head += [f"{title}: published", "ours", "agrees"]
        lines += ["", f"### {HEADINGS[metric]}, {_scenario_name(table.scenario)}", ""]
        lines += [f"Published: {table.source}. Chosen on: {table.chosen_on}.", ""]
        lines += [f"| {' | '.join(head)} |", f"|---{'|---:|---:|---' * len(sets)}|"]
        for row in rows_of(report.settings.paper):
            if row.published is None:
                continue
            cells = [row.title]
            for name in sets:
                where = {"set": name, **table.scenario}
                known = table.figures.get((name, row.key, metric))
                ours = published_figure(report.figures, row, where, metric)
                cells += ["–" if known is None else f"{known:.3f}", plus_minus(ours)]
                cells.append(agreement(known, ours, report.differs(name)))
            if any(cell != "–" for cell in cells[1:]):
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def _side_by_side(report: Report, where: dict[str, Any]) -> list[str]:
    """Return the table of the protocols for one set and scenario."""
    head = ["method", *(column[0] for column in SIDE_BY_SIDE)]
    lines = ["", f"### {report.title(where['set'])}, {_scenario_name(where)}", ""]
    lines += [f"| {' | '.join(head)} |", f"|---{'|---:' * len(SIDE_BY_SIDE)}|"]
    for row in rows_of(report.settings.paper):
        cells = [
            plus_minus(report.figures.figure(protocol, where, row.label(protocol), choice, metric))
            for _, protocol, choice, metric in SIDE_BY_SIDE
        ]
        known = " (simulation's θ or prior as published)" if row.known else ""
        if any(cell != "–" for cell in cells):
            lines.append(f"| {' | '.join([row.title + known, *cells])} |")
    return lines


def _choice(report: Report) -> list[str]:
    """Return how much R2 the choice on test labels adds, on the same trials."""
    deleted, trials = report.figures.deleted
    count = (
        f"{deleted} of {trials} trials have an R2 of at most 0 on the test; the authors' notebook "
    )
    lines = [GAIN_EXPLAINED, "", count + "deletes such runs, and here they count.", ""]
    lines += ["| set and scenario | test labels - observable | test labels - clean validation |"]
    lines += ["|---|---:|---:|"]
    labels = [
        row.label(AS_PUBLISHED)
        for row in rows_of(report.settings.paper)
        if row.method not in ("oracle", "clean-mcar")
    ]
    for scenario in report.scenarios:
        for name in report.settings.sets:
            where = {"set": name, **scenario}
            gains = [
                plus_minus(report.figures.gain(AS_PUBLISHED, labels, where, ON_TEST, other))
                for other in (OBSERVABLE, CLEAN)
            ]
            lines.append(f"| {report.title(name)}, {_scenario_name(where)} | {' | '.join(gains)} |")
    return lines


def _against_naive(report: Report) -> list[str]:
    """Return the difference of the paper's own method to naive, by protocol and choice."""
    columns = [c for c in SIDE_BY_SIDE if c[3] != "mae"]
    lines = [AGAINST_NAIVE, ""]
    lines += [f"| method, set and scenario | {' | '.join(c[0] for c in columns)} |"]
    lines += [f"|---{'|---:' * len(columns)}|"]
    own = [r for r in rows_of(report.settings.paper) if r.key.startswith(report.settings.paper)]
    for scenario in report.scenarios:
        for name in report.settings.sets:
            where = {"set": name, **scenario}
            for row in own:
                gaps = [
                    plus_minus(
                        report.figures.over_naive(protocol, where, row.label(protocol), *choice)
                    )
                    for _, protocol, *choice in columns
                ]
                head = f"{row.title}, {report.title(name)}, {_scenario_name(where)}"
                lines.append(f"| {head} | {' | '.join(gaps)} |")
    return lines


def _claims(report: Report) -> list[str]:
    lines = [
        "| quantity | published | source | ours | agrees |",
        "|---|---:|---|---:|---|",
    ]
    rows = {row.key: row for row in rows_of(report.settings.paper)}
    for claim in claims(report.settings.paper):
        ours: Estimate | None = None
        verdict = f"not run here: needs {claim.needs}" if claim.needs else "–"
        value = claim.value if isinstance(claim.value, str) else f"{claim.value:.3f}"
        name = claim.where.get("set")
        if name in report.settings.sets and isinstance(claim.value, float):
            row = rows[claim.where["method"]]
            ours = published_figure(report.figures, row, claim.where, claim.where["metric"])
            verdict = agreement(claim.value, ours, report.differs(name))
        cells = [claim.quantity, value, claim.source, plus_minus(ours), verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _lost(report: Report) -> list[str]:
    """Return the jobs without figures, by reason."""
    if not report.figures.lost:
        return []
    lines = ["", "## Without a figure", ""]
    for (protocol, status, reason), where in sorted(report.figures.lost.items()):
        methods = sorted({word.rpartition(" seed ")[0] for word in where})
        lines.append(f"- {protocol}, {status}: {', '.join(methods)} ({len(where)} jobs): {reason}")
    return lines


def _scenario_name(at: dict[str, Any]) -> str:
    noise = f", rho_01 {at['rho_01']:g}, rho_10 {at['rho_10']:g}" if at["rho_01"] else ""
    return f"alpha {at['alpha']:g}, rate {at['rate']:g}{noise}"
