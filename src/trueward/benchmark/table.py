"""The table of a run: Markdown to read, CSV to work with, and a figure of what was recovered."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.simulation import MECHANISMS, PREDICTIONS

from .config import FEWEST_SEEDS
from .entries import CLEAN, NAIVE, ORACLE
from .figure import draw
from .folder import Runs
from .overview import overview
from .sets import SETS
from .summary import ON_TEST, Section, metrics_of, sections
from .work import ON_GOLD

if TYPE_CHECKING:
    from trueward.core.estimate import Estimate


NAMES = {
    "auroc": "AUROC ↑", "pair_accuracy": "pair accuracy ↑", "r2": "R2 ↑", "brier": "Brier ↓",
    "r2_gold": "R2 + gold ↑", "nll": "NLL ↓", "ece": "ECE ↓", "mae": "MAE ↓", "bias": "bias",
    "mean": "mean error ↓",
    **{name.lower(): f"{name} ↓" for name in PREDICTIONS},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Written:
    """What `write_table` wrote, and why there is no figure if there is none."""

    files: list[Path]
    note: str | None
    markdown: str
    figures: list[dict[str, Any]]


def write_table(folder: str | Path, out: str | Path | None = None) -> Written:
    """Write table.md, summary.csv, jobs.csv and recovered.svg/.png of a run into ``out``."""
    runs = Runs.read(folder)
    found = sections(runs)
    if not found:
        raise TruewardError(
            f"{folder} has no finished job yet: go on with `trueward benchmark run`, then ask again"
        )
    place = Path(out) if out is not None else Path(folder) / "table"
    text = markdown(runs, found)
    figures = [
        {**_flat(section.settings), **figure.to_json()}
        for section in found
        for figure in section.figures
    ]
    files = [place / "table.md", place / "summary.csv", place / "jobs.csv"]
    with replacing(files[0]) as path:
        path.write_text(text, encoding="utf-8")
    for file, rows in ((files[1], figures), (files[2], [_job(r) for s in found for r in s.rows])):
        with replacing(file) as path:
            pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    drawn, note = draw(found, metrics_of(runs)[0], place)
    return Written([*files, *drawn], note, text, figures)


def markdown(runs: Runs, found: list[Section]) -> str:
    """Lay out every scenario as one table, the settings and what is lost around it."""
    lines = _head(runs, sum(len(s.rows) for s in found))
    lines += overview(found) if runs.about["config"]["kind"] == "fit" else []
    for section in found:
        lines += ["", f"## {title(section.settings)}", "", _rule(section, runs), ""]
        lines += _rows(section, runs)
        lines += _lost(section)
    return "\n".join(lines) + "\n"


def title(settings: dict[str, Any]) -> str:
    """Name a scenario by what it sets."""
    s = settings
    parts = [s["set"], s["mechanism"]]
    if s["mechanism"] != "logged":
        parts.append(f"alpha {s['alpha']:g}")
    parts += [f"{k} {s[k]:g}" for k in ("rate", "rho_01", "rho_10") if s[k]]
    parts += [f"{s['gold']} gold labels"] if s["gold"] else []
    parts += [f"{k} {v}" for k, v in s["more"].items()]
    return " · ".join(parts)


def _head(runs: Runs, done: int) -> list[str]:
    config = runs.about["config"]
    seeds, trials = config["seeds"], config["trials"]
    jobs = len(config["methods"]) * len(seeds)
    jobs *= sum(1 if SETS[s["name"]].logged else len(config["scenarios"]) for s in config["sets"])
    meant = (
        f"{done} of {jobs} jobs are done. {_seeds(seeds)}; ± is half of the 95 % t-interval of the "
        "mean over them. A seed draws split, selection, noise, initialisation and batches anew; the "
        "set stays, so the interval does not speak of other sets."
    )
    lines = [f"# Benchmark {config['name']}", "", config["about"], "", meant]
    if len(seeds) < FEWEST_SEEDS:
        lines += ["", f"**Only {_seeds(seeds)}, fewer than {FEWEST_SEEDS}: a rough picture.**"]
    if config["kind"] == "fit":
        tried = (
            f"{trials} trials of random search for every method, chosen by the log-loss of the "
            "feedback on validation rows"
            if trials > 1
            else "Every method as it is configured, nothing searched"
        )
        lines += ["", f"{tried}. MAE is no proper score and is there to compare with the papers."]
    meaning = (
        "`oracle` has all clean labels, `clean-mcar` as many clean labels as there is feedback, drawn "
        "at random. *Recovered* is (method - naive) / (clean-mcar - naive) with Fieller's interval; a "
        "dash says that the gap cannot be told from 0."
    )
    if ON_GOLD in metrics_of(runs):
        meaning += (
            " *R2 + gold* is R2 after Platt's scaling on the gold labels of the log, the same for "
            "every method: what a few trusted labels do for the scale, which no ranking follows from."
        )
    return [*lines, "", meaning]


def _seeds(seeds: list[int]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _rule(section: Section, runs: Runs) -> str:
    """Say who reacts, and what is good, before any number."""
    label = section.settings["set"]
    name = next(s["name"] for s in runs.about["config"]["sets"] if s["label"] == label)
    mechanism = MECHANISMS.get(section.settings["mechanism"])
    doc = ((mechanism.__doc__ or "") if mechanism else "A real log.").strip().splitlines()[0]
    counts = {m: section.labels(m) for m in (ORACLE, CLEAN, NAIVE)}
    said = ", ".join(f"{m} {n:.0f}" for m, n in counts.items() if n is not None)
    line = f"{SETS[name].says}. Feedback: {doc} Labels to train on: {said}."
    clean, naive = counts[CLEAN], counts[NAIVE]
    if clean is not None and naive is not None and clean < naive - 0.5:
        line += " There are no more clean labels than that for clean-mcar."
    return line


def _rows(section: Section, runs: Runs) -> list[str]:
    metrics = metrics_of(runs)
    main, total = metrics[0], len(runs.about["config"]["seeds"])
    on_test = any(f.selection == ON_TEST for f in section.figures)
    head = ["method", *(NAMES[m] for m in metrics), f"{NAMES[main][:-2]} - naive", "recovered"]
    head += [f"{NAMES[main][:-2]}, {ON_TEST} (as the papers did)"] if on_test else []
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for method in dict.fromkeys(f.method for f in section.figures):
        found = section.figure(method, main)
        if found is None:
            continue
        name = method if found.seeds == total else f"{method} ({found.seeds} of {total} seeds)"
        cells = [name]
        for metric in metrics:
            figure = section.figure(method, metric)
            cells.append(plus_minus(figure.value if figure else None))
        cells += [_span(found.minus_naive), _span(found.recovered, percent=True)]
        if on_test:
            other = section.figure(method, main, ON_TEST)
            cells.append(plus_minus(other.value if other else None))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plus_minus(v: Estimate | None) -> str:
    """Write 0.812 ± 0.010."""
    if v is None or v.value is None:
        return "–"
    return f"{v.value:.3f}" if v.high is None else f"{v.value:.3f} ± {v.high - v.value:.3f}"


def _span(v: Estimate | None, *, percent: bool = False) -> str:
    """Write a value and its interval in brackets."""
    if v is None or v.value is None:
        return "–"
    form = "{:.0%}" if percent else "{:+.3f}"
    if v.low is None or v.high is None:
        return form.format(v.value)
    return f"{form.format(v.value)} [{form.format(v.low)}, {form.format(v.high)}]"


def _lost(section: Section) -> list[str]:
    """List what has no figure, with its sentence: nothing is dropped in silence."""
    lines: list[str] = []
    for status, heading in (("failed", "Failed"), ("not applicable", "Not applicable")):
        found = section.lost(status)
        lines += ["", f"{heading}:", ""] if found else []
        lines += [f"- {', '.join(who)}: {reason}" for reason, who in found.items()]
    return lines


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    more = " ".join(f"{k}={v}" for k, v in settings["more"].items())
    return {**settings, "more": more}


def _job(row: dict[str, Any]) -> dict[str, Any]:
    """One job as plain columns; of the lists only what a table can hold."""
    kept = ("key", "set", "mechanism", "alpha", "rate", "rho_01", "rho_10", "gold", "method")
    out = {k: row[k] for k in kept}
    out |= {k: row.get(k) for k in ("seed", "status", "reason", "labels", "seconds")}
    out |= {f"selected_on_test.{k}": v for k, v in (row.get("on_test") or {}).items()}
    return {**out, **(row.get("metrics") or {}), "warnings": "; ".join(row.get("warnings") or [])}
