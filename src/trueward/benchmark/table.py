"""Tables of a run: Markdown, CSV, and a figure of the recovered share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trueward.core.atomic_io import replacing
from trueward.core.errors import TruewardError
from trueward.data.formula_cells import write_csv
from trueward.simulation import MECHANISMS, PREDICTIONS

from .config import FEWEST_SEEDS
from .entries import CLEAN, NAIVE, ORACLE
from .metrics import ON_GOLD
from .overview import draw_recovered, overview
from .runs import Runs
from .sets import SETS
from .summary import ON_TEST, Section, metrics_of, sections

if TYPE_CHECKING:
    from trueward.core.estimate import Estimate


#: Metric -> heading of its column; the arrow shows the better direction.
NAMES = {
    "auroc": "AUROC ↑", "pair_accuracy": "pair accuracy ↑", "r2": "R2 ↑", "brier": "Brier ↓",
    "r2_gold": "R2 + gold ↑", "nll": "NLL ↓", "ece": "ECE ↓", "mae": "MAE ↓", "bias": "bias",
    "mean": "mean error ↓",
    **{name.lower(): f"{name} ↓" for name in PREDICTIONS},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Written:
    """Result of `write_table`.

    Attributes
    ----------
    files : list of Path
        The files.
    note : str or None
        The reason if there is no figure.
    markdown : str
        Content of table.md.
    figures : list of dict
        Rows of summary.csv.

    """

    files: list[Path]
    note: str | None
    markdown: str
    figures: list[dict[str, Any]]


def write_table(folder: str | Path, out: str | Path | None = None) -> Written:
    """Write table.md, summary.csv, jobs.csv, recovered.svg and recovered.png.

    Parameters
    ----------
    folder : str or Path
        Folder of the run.
    out : str or Path, optional
        Folder of the files. None: ``table`` in the folder of the run.

    Returns
    -------
    Written

    Raises
    ------
    TruewardError
        If no job has finished.

    """
    runs = Runs.read(folder)
    scenarios = sections(runs)
    if not scenarios:
        raise TruewardError(
            f"{folder} has no finished job yet: continue with `trueward benchmark run` first"
        )
    place = Path(out) if out is not None else Path(folder) / "table"
    text = markdown(runs, scenarios)
    figures = [
        {**_flat(section.settings), **figure.to_json()}
        for section in scenarios
        for figure in section.figures
    ]
    files = [place / "table.md", place / "summary.csv", place / "jobs.csv"]
    with replacing(files[0]) as path:
        path.write_text(text, encoding="utf-8")
    for file, rows in (
        (files[1], figures),
        (files[2], [_job(r) for s in scenarios for r in s.rows]),
    ):
        with replacing(file) as path:
            write_csv(pl.DataFrame(rows, infer_schema_length=None), path)
    images, note = draw_recovered(scenarios, metrics_of(runs)[0], place)
    return Written([*files, *images], note, text, figures)


def markdown(runs: Runs, scenarios: list[Section]) -> str:
    """Return the Markdown of a run: one table a scenario, and its jobs without a result.

    Parameters
    ----------
    runs : Runs
        Folder of the run.
    scenarios : list of Section
        The scenarios of `sections`.

    Returns
    -------
    str

    """
    lines = _head(runs, sum(len(s.rows) for s in scenarios))
    lines += overview(scenarios) if runs.about["config"]["kind"] == "fit" else []
    for section in scenarios:
        lines += ["", f"## {title(section.settings)}", "", _rule(section, runs), ""]
        lines += _rows(section, runs)
        lines += _lost(section)
    return "\n".join(lines) + "\n"


def title(settings: dict[str, Any]) -> str:
    """Return the name of a scenario: its set, mechanism and settings.

    Parameters
    ----------
    settings : dict
        Settings of the scenario, as in `Section`.

    Returns
    -------
    str
        The parts, separated by dots.

    """
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
    intro = (
        f"{done} of {jobs} jobs are done. {_seeds(seeds)}; ± is half of the 95 % t-interval of the "
        "mean over seeds. A seed draws the split, selection, noise, initialisation and batches. The "
        "set is fixed, so the interval does not cover the variation between sets."
    )
    lines = [f"# Benchmark {config['name']}", "", config["about"], "", intro]
    if len(seeds) < FEWEST_SEEDS:
        lines += [
            "",
            f"**Only {_seeds(seeds)}, fewer than {FEWEST_SEEDS}: unreliable intervals.**",
        ]
    if config["kind"] == "fit":
        search = (
            f"{trials} trials of random search for every method, selected by the log-loss of the "
            "feedback on validation rows"
            if trials > 1
            else "Every method as configured, without search"
        )
        lines += [
            "",
            f"{search}. MAE is not a proper score; it is shown for comparison with the papers.",
        ]
    meaning = (
        "`oracle` is trained on all true labels, `clean-mcar` on as many true labels as there is "
        "feedback, drawn at random. *Recovered* is (method - naive) / (clean-mcar - naive) with "
        "Fieller's interval; a dash: the gap does not differ significantly from 0."
    )
    if ON_GOLD in metrics_of(runs):
        meaning += (
            " *R2 + gold* is R2 after Platt scaling on the gold labels of the log, the same for every "
            "method. Scaling changes the probabilities and not the ranking."
        )
    return [*lines, "", meaning]


def _seeds(seeds: list[int]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _rule(section: Section, runs: Runs) -> str:
    """Return the definition of the set and the mechanism, and the numbers of labels."""
    label = section.settings["set"]
    name = next(s["name"] for s in runs.about["config"]["sets"] if s["label"] == label)
    mechanism = MECHANISMS.get(section.settings["mechanism"])
    doc = ((mechanism.__doc__ or "") if mechanism else "A real log.").strip().splitlines()[0]
    counts = {m: section.labels(m) for m in (ORACLE, CLEAN, NAIVE)}
    text = ", ".join(f"{m} {n:.0f}" for m, n in counts.items() if n is not None)
    line = f"{SETS[name].description}. Feedback: {doc} Training labels: {text}."
    clean, naive = counts[CLEAN], counts[NAIVE]
    if clean is not None and naive is not None and clean < naive - 0.5:
        line += " clean-mcar has fewer labels than naive: the set has no more true labels."
    return line


def _rows(section: Section, runs: Runs) -> list[str]:
    metrics = metrics_of(runs)
    main, total = metrics[0], len(runs.about["config"]["seeds"])
    on_test = any(f.selection == ON_TEST for f in section.figures)
    head = ["method", *(NAMES[m] for m in metrics), f"{NAMES[main][:-2]} - naive", "recovered"]
    head += [f"{NAMES[main][:-2]}, {ON_TEST} (as the papers did)"] if on_test else []
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for method in dict.fromkeys(f.method for f in section.figures):
        first = section.figure(method, main)
        if first is None:
            continue
        name = method if first.seeds == total else f"{method} ({first.seeds} of {total} seeds)"
        cells = [name]
        for metric in metrics:
            figure = section.figure(method, metric)
            cells.append(plus_minus(figure.value if figure else None))
        cells += [_span(first.minus_naive), _span(first.recovered, percent=True)]
        if on_test:
            other = section.figure(method, main, ON_TEST)
            cells.append(plus_minus(other.value if other else None))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plus_minus(v: Estimate | None) -> str:
    """Return text such as 0.812 ± 0.010.

    Parameters
    ----------
    v : Estimate or None
        Value and its 95 % interval.

    Returns
    -------
    str
        The value and half of its interval; a dash without a value.

    """
    if v is None or v.value is None:
        return "–"
    return f"{v.value:.3f}" if v.high is None else f"{v.value:.3f} ± {v.high - v.value:.3f}"


def _span(v: Estimate | None, *, percent: bool = False) -> str:
    """Return a value and its interval in brackets."""
    if v is None or v.value is None:
        return "–"
    form = "{:.0%}" if percent else "{:+.3f}"
    if v.low is None or v.high is None:
        return form.format(v.value)
    return f"{form.format(v.value)} [{form.format(v.low)}, {form.format(v.high)}]"


def _lost(section: Section) -> list[str]:
    """Return the methods without a result and the reasons."""
    lines: list[str] = []
    for status, heading in (("failed", "Failed"), ("not applicable", "Not applicable")):
        reasons = section.lost(status)
        lines += ["", f"{heading}:", ""] if reasons else []
        lines += [f"- {', '.join(methods)}: {reason}" for reason, methods in reasons.items()]
    return lines


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    more = " ".join(f"{k}={v}" for k, v in settings["more"].items())
    return {**settings, "more": more}


def _job(row: dict[str, Any]) -> dict[str, Any]:
    """Return a job as plain columns, without lists."""
    columns = ("key", "set", "mechanism", "alpha", "rate", "rho_01", "rho_10", "gold", "method")
    out = {k: row[k] for k in columns}
    out |= {k: row.get(k) for k in ("seed", "status", "reason", "labels", "seconds")}
    out |= {f"selected_on_test.{k}": v for k, v in (row.get("on_test") or {}).items()}
    return {**out, **(row.get("metrics") or {}), "warnings": "; ".join(row.get("warnings") or [])}
