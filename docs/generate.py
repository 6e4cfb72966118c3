"""Write the generated pages: one card per method, the help of every command, the paper index.

The speed of a fit in README.md and docs/performance.md is that of docs/fit_speed.json, which
``python benchmarks/fit_speed.py --repeats 5 --out docs/fit_speed.json`` measures.

python docs/generate.py           writes them
python docs/generate.py --check   exits 1 if a page is not what would be written
"""

import json
import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"NO_COLOR": "1", "TERM": "dumb"}  # before typer looks

import typer
from typer.testing import CliRunner

from trueward.cli.app import app
from trueward.estimators._card import card, summary
from trueward.estimators._registry import methods

DOCS = Path(__file__).parent
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def commands(within: typer.Typer, before: str = "") -> Iterator[str]:
    """Every command as it is typed, in the order of the help; groups after single ones."""
    for one in within.registered_commands:
        yield before + (one.name or one.callback.__name__.replace("_", "-"))
    for group in within.registered_groups:
        yield from commands(group.typer_instance, f"{before}{group.typer_instance.info.name} ")


def help_page(command: str) -> str:
    """Give the help text of one command at a fixed width."""
    words = [*command.split(), "--help"]
    about = {"prog_name": "trueward", "terminal_width": 98}
    done = CliRunner().invoke(app, words, catch_exceptions=False, **about)
    return ANSI.sub("", done.output).rstrip()


def formula(text: str) -> str:
    """Return a formula as code in a cell of a table, where a bar would end the cell."""
    if "|" not in text:
        return f"`{text}`"
    marks = {ord(mark): f"&#{ord(mark)};" for mark in "&<>|*_`"}
    return f"<code>{text.translate(marks)}</code>"


def pages() -> dict[Path, str]:
    """Give every generated page and what it must hold."""
    found = {DOCS / "methods" / f"{name}.md": card(name) for name in methods()}
    rows = [
        f"| [{name}](methods/{name}.md) | {formula(summary(name))} | {cls.paper} |"
        for name, cls in methods().items()
    ]
    head = ["# Methods and papers", "", "| method | objective | source |", "|---|---|---|"]
    found[DOCS / "paper_index.md"] = "\n".join([*head, *rows, ""])
    parts = ["# The command line", ""]
    for command in ("", *commands(app)):
        parts += [f"## trueward {command}".rstrip(), "", "```text", help_page(command), "```", ""]
    found[DOCS / "cli.md"] = "\n".join(parts)
    return found | speed_pages()


def speed_pages() -> dict[Path, str]:
    """Give the pages that tell the measured speed of a fit, with the figures as they were measured."""
    measured = DOCS / "fit_speed.json"
    if not measured.exists():
        return {}
    given = json.loads(measured.read_text("utf-8"))
    ratios = [fit["ratio"] for fit in given["fits"].values()]
    share = f"{math.floor(min(ratios))} to {math.floor(max(ratios))} times faster"
    said = {
        DOCS.parent / "README.md": (r"\d+ to \d+ times faster", share),
        DOCS / "performance.md": (
            r"(?<=<!-- fit_speed -->\n).*?(?=<!-- end -->)",
            speed_table(given),
        ),
    }
    found = {}
    for page, (where, text) in said.items():
        found[page], times = re.subn(
            where, lambda _, t=text: t, page.read_text("utf-8"), flags=re.DOTALL
        )
        if times != 1:
            sys.exit(f"{page.name} tells the speed of a fit in {times} places, not in one")
    return found


def speed_table(given: dict) -> str:
    """Give the figures of `fit_speed` as a table, and what they were measured on."""
    on, rows = given["machine"], []
    for name, fit in given["fits"].items():
        for side in ("trueward", "loop"):
            ratios = [
                f"{fit[k]:.1f}x" if side == "trueward" else "" for k in ("ratio", "cpu_ratio")
            ]
            seconds, cpu, r2, memory = (fit[k][side] for k in ("seconds", "cpu", "r2", "memory"))
            cells = (
                f"{seconds:.2f}",
                ratios[0],
                f"{cpu:.2f}",
                ratios[1],
                f"{r2:.3f}",
                f"{memory:.2f}x",
            )
            rows.append(f"| {name} | {side} | {' | '.join(cells)} |")
    columns = [
        "method",
        "side",
        "seconds",
        "ratio",
        "processor s",
        "ratio",
        "test R2",
        "memory / features",
    ]
    isa = [f for f in on["isa"] if "bf16" in f or "amx" in f]
    measured = (
        f"{on['date']}, {on['cores']} cores of {on['cpu']} ({', '.join(isa) or 'no bf16'}), "
        f"{on['memory_gib']} GiB, torch {on['torch']}, {given['threads']} threads, medians of "
        f"{given['repeats']}; load average at the end {on['load_at_end'][0]:.1f}."
    )
    return "\n".join(
        [
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
            *rows,
            "",
            measured,
            "",
        ]
    )


def main() -> int:
    """Write or check the pages."""
    check = "--check" in sys.argv[1:]
    wanted = pages()
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text("utf-8") != text]
    stale += [p for p in (DOCS / "methods").glob("*.md") if p not in wanted]
    for path in stale:
        if check:
            print(f"{path.relative_to(DOCS.parent)} is stale: run python docs/generate.py")
        elif path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        else:
            path.unlink()
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
