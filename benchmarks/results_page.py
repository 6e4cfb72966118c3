r"""Write docs/benchmark.md from three finished runs: mechanisms, real and selection.

python benchmarks/results_page.py --mechanisms runs/mechanisms --real runs/real --selection runs/selection \
    --out docs/benchmark.md

All numbers of the page are computed from the runs, also those in the text of `benchmark_findings.md`:
`{{gap RUN|SET/MECHANISM|METHOD|METRIC}}` is a difference to naive, `{{value ...}}` a mean over seeds, both marked where
seeds failed,
`{{added ...}}` the gain of selection on the test set, `{{range RUN|MECHANISMS|METHOD|METRIC}}` the range of differences to
naive over sets and these mechanisms, `{{better RUN|METHOD|METRIC}}` and `{{worse ...}}` the number of scenarios with an interval above or below 0, and
`{{failed RUN|METHOD}}` the number of failed fits. Scenarios that are one experiment under two names count once.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.stats import kendalltau

from trueward.benchmark import Runs
from trueward.benchmark.overview import BETTER, WORSE, draw_recovered, mark, overview
from trueward.benchmark.repeats import distinct
from trueward.benchmark.summary import OBSERVABLE, ON_TEST, sections
from trueward.benchmark.table import markdown, plus_minus
from trueward.core.atomic_io import replacing

if TYPE_CHECKING:
    from trueward.benchmark.summary import Section

PUBLISHED = {  # R2 of the authors' result notebook, Scenario 2: HelpSteer, UltraFeedback, PKU-SafeRLHF
    "naive": (0.1380, 0.4408, 0.5143),
    "ips": (0.1625, 0.4465, 0.5399),
    "mtips": (0.1686, 0.4580, 0.5644),
    "cvib": (0.1701, 0.4657, 0.5849),
    "dr": (0.1788, 0.4743, 0.6290),
    "mtdr": (0.1857, 0.4824, 0.6559),
    "sdr": (0.1925, 0.4529, 0.6873),
    "co_teaching": (0.1441, 0.4532, 0.5328),
    "codis": (0.1555, 0.4584, 0.5472),
    "labelwave": (0.1610, 0.4649, 0.5672),
    "eps_softmax": (0.1730, 0.4712, 0.6010),
    "dividemix": (0.2045, 0.4766, 0.6488),
    "causalrm ips, rates searched": (0.2870, 0.5034, 0.7740),
    "causalrm dr, rates searched": (0.3020, 0.4959, 0.7135),
}

DRAWN = (
    *(
        "causalrm",
        "causalrm, true rates and propensity (known nuisances)",
        "dr",
        "ips",
        "sdr",
        "mtdr",
    ),
    *("ips (known nuisances)", "co_teaching", "eps_softmax", "dividemix", "cvib", "f_correction"),
    *("implicitrm identify=scar", "implicitrm identify=gold", "nnpu", "recrec", "bpr"),
    "rmf (known nuisances)",
)
FINDINGS = Path(__file__).with_name("benchmark_findings.md")

HEAD = """# What recovers what

Every method of both papers on real texts, under every reason to react that `trueward simulate` knows, and on two real
logs with a randomised truth. Nothing is chosen on a test set but in the one column that says so. Made by

```text
trueward benchmark run mechanisms --data ../shared/data --out runs/mechanisms
trueward benchmark run real       --data ../shared/data --out runs/real
trueward benchmark run selection  --data ../shared/data --out runs/selection
python benchmarks/results_page.py --mechanisms runs/mechanisms --real runs/real --selection runs/selection \\
    --out docs/benchmark.md
```

and {counts}. How a table is made and what its columns mean is in [the benchmark command](benchmark_command.md).
"""


def page(runs: dict[str, Runs], found: dict[str, list[Section]]) -> str:
    """Give the whole page."""
    counts = ", ".join(
        f"{sum(r['status'] == 'done' for r in run.rows()):,} fits of `{name}` in "
        f"{sum(r['seconds'] or 0 for r in run.rows()) / 60:,.0f} minutes of a core"
        for name, run in runs.items()
    )
    once = {name: distinct(some)[0] for name, some in found.items()}
    findings = filled(FINDINGS.read_text(encoding="utf-8"), once)
    parts = [HEAD.format(counts=counts), findings, "## mechanisms\n", about(runs["mechanisms"])]
    parts += [
        row.replace("## At a glance", "### Standing") for row in overview(found["mechanisms"])
    ]
    parts += ["", "![Recovered share](benchmark/recovered.svg)", "", "## real", ""]
    parts += body(markdown(runs["real"], found["real"]))
    parts += ["", "## selection", "", about(runs["selection"])]
    for section in found["selection"]:
        parts += ranking(section)
    return "\n".join(parts).rstrip() + "\n"


def filled(text: str, found: dict[str, list[Section]]) -> str:
    """Put the figures of the runs into prose, and fill its lines anew."""

    def one(match: re.Match[str]) -> str:
        what, _, rest = " ".join(match[1].split()).partition(" ")
        run, *names = rest.split("|")
        look = {
            "gap": difference,
            "value": average,
            "added": added,
            "range": span,
            "failed": failures,
        }.get(what)
        if look is None:
            return standing(what, found[run], *names)
        return look(found[run], *names)

    whole = re.sub(r"\{\{(.+?)\}\}", one, text, flags=re.DOTALL)
    return "\n\n".join(textwrap.fill(p, 120, break_on_hyphens=False) for p in whole.split("\n\n"))


def difference(found: list[Section], where: str, method: str, metric: str) -> str:
    """Give a method's mean minus naive's."""
    figure = scenario(found, where).figure(method, metric)
    gap = figure.minus_naive if figure else None
    assert gap is not None, (where, method, metric)
    return f"{gap.value:+.3f}{survivors(scenario(found, where), method)}"


def average(found: list[Section], where: str, method: str, metric: str) -> str:
    """Give a method's mean over seeds."""
    figure = scenario(found, where).figure(method, metric)
    mean = figure.value if figure else None
    assert mean is not None, (where, method, metric)
    return f"{mean.value:.3f}{survivors(scenario(found, where), method)}"


def survivors(section: Section, method: str) -> str:
    """Say how many seeds a mean is over, where not over all."""
    rows = [r for r in section.rows if r["method"] == method]
    done = sum(r["status"] == "done" for r in rows)
    return (
        "" if done == len(rows) else f" (mean of the {done} seeds in {len(rows)} that did not fail)"
    )


def added(found: list[Section], where: str, method: str, metric: str) -> str:
    """Give what choosing on the test adds to a method's mean."""
    section = scenario(found, where)
    figures = [section.figure(method, metric, how) for how in (OBSERVABLE, ON_TEST)]
    ours, best = (f.value.value for f in figures if f and f.value)
    return f"{best - ours:+.3f}{survivors(section, method)}"


def span(found: list[Section], mechanisms: str, method: str, metric: str) -> str:
    """Give the least and the largest of a method's means minus naive's, over all sets."""
    gaps = [
        f.minus_naive.value
        for s in found
        if s.settings["mechanism"] in mechanisms.split(",")
        if (f := s.figure(method, metric)) is not None and f.minus_naive is not None
    ]
    return f"{min(gaps):.3f} to {max(gaps):.3f}"


def standing(what: str, found: list[Section], method: str, metric: str) -> str:
    """Count the scenarios where a method is better, or worse, than naive."""
    figures = [f for s in found if (f := s.figure(method, metric)) is not None]
    assert figures, (method, metric)
    marks = [mark(f.minus_naive) for f in figures]
    return f"{marks.count({'better': BETTER, 'worse': WORSE}[what])} of {len(marks)}"


def failures(found: list[Section], method: str) -> str:
    """Count the fits of a method that failed, of all it was tried in."""
    rows = [r for s in found for r in s.rows if r["method"] == method]
    failed = sum(r["status"] == "failed" for r in rows)
    return f"{failed} of {sum(r['status'] != 'not applicable' for r in rows)}"


def scenario(found: list[Section], where: str) -> Section:
    """Find the one scenario called SET/MECHANISM."""
    (one,) = (s for s in found if f"{s.settings['set']}/{s.settings['mechanism']}" == where)
    return one


def about(run: Runs) -> str:
    """Say what a run asked for."""
    config = run.about["config"]
    return f"{config['about']} {len(config['seeds'])} seeds."


def body(text: str) -> list[str]:
    """Take the sections of a table, one level down."""
    lines = text.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("## "))
    return [f"#{line}" if line.startswith("#") else line for line in lines[first:]]


def ranking(section: Section) -> list[str]:
    """Put the published order beside ours, chosen by the log and chosen on the test."""
    ours = {
        how: {
            m: f.value.value
            for m in PUBLISHED
            if (f := section.figure(m, "r2", how)) is not None and f.value is not None
        }
        for how in (OBSERVABLE, ON_TEST)
    }
    columns = {**{name: {m: v[k] for m, v in PUBLISHED.items()} for k, name in
                  enumerate(("HelpSteer", "UltraFeedback", "PKU-SafeRLHF"))},
               "chosen on test": ours[ON_TEST], "chosen by the log": ours[OBSERVABLE]}  # fmt: skip
    lines = [
        "",
        f"### {section.settings['set']}",
        "",
        "R2, and in brackets the rank. The first three columns are the published ones, each chosen on its test set.",
        "",
        f"| method | {' | '.join(columns)} | chosen by the log, ± | R2 + gold |",
        f"|---{'|---:' * (len(columns) + 2)}|",
    ]
    for method in PUBLISHED:
        cells = [_ranked(values, method) for values in columns.values()]
        for metric in ("r2", "r2_gold"):
            figure = section.figure(method, metric)
            cells.append(plus_minus(figure.value if figure else None))
        lines.append(f"| {method}{survivors(section, method)} | {' | '.join(cells)} |")
    lines += ["", "Kendall's tau of the ranks:", ""]
    for how, mine in (("chosen on test", ours[ON_TEST]), ("chosen by the log", ours[OBSERVABLE])):
        taus = []
        for k, name in enumerate(("HelpSteer", "UltraFeedback", "PKU-SafeRLHF")):
            both = [m for m in PUBLISHED if m in mine]
            tau = kendalltau([PUBLISHED[m][k] for m in both], [mine[m] for m in both])
            taus.append(f"{tau.statistic:+.2f} with {name} (p = {tau.pvalue:.2f})")
        lines.append(f"- {how}: {', '.join(taus)}")
    both = [m for m in PUBLISHED if m in ours[OBSERVABLE] and m in ours[ON_TEST]]
    tau = kendalltau([ours[OBSERVABLE][m] for m in both], [ours[ON_TEST][m] for m in both])
    lines.append(f"- chosen by the log with chosen on test: {tau.statistic:+.2f}")
    gains = sorted(((ours[ON_TEST][m] - ours[OBSERVABLE][m], m) for m in both), reverse=True)
    lines += ["", "What choosing on the test adds to R2: " +
              ", ".join(f"{m} {gain:+.3f}" for gain, m in gains) + "."]  # fmt: skip
    return lines


def _ranked(values: dict[str, float], method: str) -> str:
    if method not in values:
        return "–"
    rank = 1 + sum(v > values[method] for v in values.values())
    return f"{values[method]:.3f} ({rank})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("mechanisms", "real", "selection"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    folders = {name: getattr(given, name) for name in ("mechanisms", "real", "selection")}
    runs = {name: Runs.read(folder) for name, folder in folders.items()}
    found = {name: sections(run) for name, run in runs.items()}
    text = page(runs, found)
    figures = given.out.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    drawn = [
        dataclasses.replace(s, figures=[f for f in s.figures if f.method in DRAWN])
        for s in found["mechanisms"]
    ]
    with tempfile.TemporaryDirectory() as scratch:
        files, reason = draw_recovered(drawn, "r2", Path(scratch))
        if reason is not None:
            raise SystemExit(reason)
        with replacing(figures / "recovered.svg") as path:
            path.write_bytes(files[0].read_bytes())
    given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
