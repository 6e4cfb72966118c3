"""Count the experiments of docs/benchmark.md again from its own tables, each experiment once, and mark means of survivors.

python benchmarks/results_recount.py docs/benchmark.md --again docs/benchmark/gptfuzz_mcar.csv

For a page whose runs are gone. Scenarios are one experiment where every cell of a set's tables is equal. The tables have
no differences in R2 + gold; those of the repeated experiment are in `--again`, the summary.csv of a run of it by the
version that made the page, whose R2 and AUROC are compared with the page's. Figures of other runs stay as they are.
A page is counted again once: the counts of R2 + gold are taken from the page.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path

import polars as pl
from results_page import BETTER, FINDINGS, WORSE, difference, failures, span, standing

from trueward.benchmark.overview import mark
from trueward.benchmark.overview import standing as standing_table
from trueward.benchmark.repeats import distinct
from trueward.benchmark.summary import OBSERVABLE, Figure, Section
from trueward.core.estimate import Estimate

SEEDS = 5
LEAST_EQUAL = 0.95  # share of marks that a run by the same version has to repeat
NAMES = {"R2": "r2", "AUROC": "auroc"}
TITLE = re.compile(r"### (\w+), (?:ratings|clicks): (R2|AUROC) minus naive's")
CELL = re.compile(r"([+-]\d\.\d{3}) ?([▲▼]?)")
PLACE = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
GOLD = "r2_gold"


def read_page(text: str) -> list[Section]:
    """Read the scenarios of the matrices, in the order of the page."""
    figures: dict[tuple[str, str], list[Figure]] = {}
    rows: dict[tuple[str, str], list[dict]] = {}
    for part in re.split(r"\n(?=#{2,3} )", text):
        if (title := TITLE.match(part)) is None:
            continue
        lines = [line.strip("| ").split("|") for line in part.splitlines() if line.startswith("|")]
        mechanisms = [c.strip() for c in lines[0][1:]]
        for line in lines[2:]:
            method, *cells = (c.strip() for c in line)
            cells += [""] * (len(mechanisms) - len(cells))
            for mechanism, cell in zip(mechanisms, cells, strict=True):
                if not cell:
                    continue
                key = (title[1], mechanism)
                failed = int(m[1]) if (m := re.search(r"(\d) failed", cell)) else 0
                if title[2] == "R2":
                    status = ["failed"] * failed + ["done"] * (SEEDS - failed)
                    rows.setdefault(key, []).extend(
                        {"method": method, "status": s, "seed": k} for k, s in enumerate(status)
                    )
                if failed < SEEDS:
                    figures.setdefault(key, []).append(
                        figure(method, NAMES[title[2]], cell, SEEDS - failed)
                    )
    return [Section({"set": k[0], "mechanism": k[1]}, rows[k], some) for k, some in figures.items()]


def figure(method: str, metric: str, cell: str, seeds: int) -> Figure:
    """Read one cell; the interval has the sides of its mark."""
    if method == "naive":
        value = Estimate(float(cell.split(")", maxsplit=1)[0].strip("(")))
        return Figure(method, metric, OBSERVABLE, seeds, value, None, None)
    number, sign = CELL.match(cell).groups()
    low, high = {BETTER: (1e-9, 1.0), WORSE: (-1.0, -1e-9)}.get(sign, (-1.0, 1.0))
    gap = Estimate(float(number), low, high)
    return Figure(method, metric, OBSERVABLE, seeds, Estimate(0.0), gap, None)


def gold_marks(again: pl.DataFrame, page: Section) -> tuple[dict[str, str], str]:
    """Return the marks of R2 + gold of the repeated experiment, and how near its other figures are to the page's."""
    marks, apart, equal = {}, [], []
    for row in again.filter(pl.col("selection") == OBSERVABLE).iter_rows(named=True):
        gap = Estimate(row["minus_naive"], row["minus_naive_low"], row["minus_naive_high"])
        printed = page.figure(row["method"], row["metric"])
        if gap.value is not None and row["metric"] == GOLD:
            marks[row["method"]] = mark(gap)
        elif gap.value is not None and printed is not None and printed.minus_naive is not None:
            apart.append(abs(gap.value - printed.minus_naive.value))
            equal.append(mark(gap) == mark(printed.minus_naive))
    near = (
        "The tables have no differences in R2 + gold, so its counts leave the repeated scenario out by a run of it that "
        "was made again by the same version with later libraries ([figures](benchmark/gptfuzz_mcar.csv)). Its R2 and "
        f"AUROC are within {max(apart):.3f} of the page's, with the same mark in {sum(equal)} of {len(equal)}."
    )
    if sum(equal) < LEAST_EQUAL * len(equal):
        raise SystemExit(f"--again is no run of the version that made the page. {near}")
    return marks, near


def recounted_table(
    text: str, found: list[Section], repeated: Section, marks: dict[str, str], near: str
) -> str:
    """Replace the table of standings: all but R2 + gold from the matrices, that less the repeated experiment.

    The matrices leave out scenarios without naive, which the printed number of scenarios has.
    """
    head = text.index("### Standing\n")
    end = text.index("\n### ", head + 5)
    old = {c[0]: c for line in text[head:end].splitlines() if len(c := cells_of(line)) == 6}
    note, *lines = standing_table(found)
    new = {c[0]: c for line in lines if len(c := cells_of(line)) == 5}
    table = []
    for method, printed in old.items():
        if method not in new or method == "method" or method.startswith("---"):
            continue
        _, _, first, second, failed = new[method]
        count = int(printed[1]) - (repeated.figure(method, "r2") is not None)
        gold = printed[3]
        if gold != "–" and (sign := marks.get(method, "")):
            better, worse = map(int, gold.split(", "))
            gold = f"{better - (sign == BETTER)}, {worse - (sign == WORSE)}"
        table.append(f"| {method} | {count} | {first} | {gold} | {second} | {failed} |")
    header = [line for line in text[head:end].splitlines() if line.startswith("|")][:2]
    return (
        text[:head]
        + "\n".join(["### Standing", "", f"{note} {near}", "", *header, *table, ""])
        + text[end:]
    )


def cells_of(line: str) -> list[str]:
    """Split a row of a table."""
    return [c.strip() for c in line.strip().removeprefix("|").removesuffix("|").split("|")]


def recounted_findings(text: str, found: list[Section], marks: dict[str, str]) -> str:
    """Fill the findings anew: counts and differences of `mechanisms`; all other figures from the page."""
    start, end = text.index("## What we found\n"), text.index("## mechanisms\n")
    old = [" ".join(p.split()) for p in text[start:end].strip().split("\n\n")]
    new = FINDINGS.read_text("utf-8").strip().split("\n\n")
    return (
        text[:start]
        + "\n\n".join(map(lambda t, p: filled(t, p, found, marks), new, old))
        + "\n\n"
        + text[end:]
    )


def filled(template: str, printed: str, found: list[Section], marks: dict[str, str]) -> str:
    """Fill one paragraph."""
    flat = " ".join(template.split())
    places = [" ".join(p.split()) for p in PLACE.findall(flat)]
    if not places:
        return textwrap.fill(flat, 120, break_on_hyphens=False)
    pattern = "(.+?)".join(re.escape(part) for part in PLACE.split(flat)[::2])
    match = re.fullmatch(pattern, printed)
    assert match is not None, f"the page has another paragraph than the template: {flat[:60]}"
    values = iter(
        [value_of(p, v, found, marks) for p, v in zip(places, match.groups(), strict=True)]
    )
    return textwrap.fill(PLACE.sub(lambda _: next(values), flat), 120, break_on_hyphens=False)


def value_of(place: str, printed: str, found: list[Section], marks: dict[str, str]) -> str:
    """Give the new text of one placeholder."""
    what, _, rest = place.partition(" ")
    run, *names = rest.split("|")
    if run != "mechanisms":
        return printed
    if what in ("better", "worse"):
        method, metric = names
        if metric != GOLD:
            return standing(what, found, method, metric)
        count, of = map(int, printed.split(" of "))
        sign = {"better": BETTER, "worse": WORSE}[what]
        return f"{count - (marks.get(method) == sign)} of {of - (method in marks)}"
    look = {"gap": difference, "range": span, "failed": failures}[what]
    return look(found, *names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument(
        "--again", type=Path, required=True, help="summary.csv of the repeated experiment"
    )
    given = parser.parse_args()
    text = given.page.read_text("utf-8")
    everything = read_page(text)
    kept, notes = distinct(everything)
    repeated = [s for s in everything if not any(s is k for k in kept)]
    print(*notes, sep="\n")
    if len(repeated) != 1:
        raise SystemExit(f"expected one repeated experiment, found {len(repeated)}")
    marks, near = gold_marks(pl.read_csv(given.again), repeated[0])
    print(near, "Marks of R2 + gold:", {m: s for m, s in marks.items() if s})
    text = recounted_table(text, everything, repeated[0], marks, near)
    text = recounted_findings(text, kept, marks)
    given.page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
