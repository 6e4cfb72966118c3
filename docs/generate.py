"""Write the generated pages: one card per method, the help of every command, the paper index.

python docs/generate.py           writes them
python docs/generate.py --check   exits 1 if a page is not what would be written
"""

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


def pages() -> dict[Path, str]:
    """Give every generated page and what it must hold."""
    found = {DOCS / "methods" / f"{name}.md": card(name) for name in methods()}
    rows = [
        f"| [{name}](methods/{name}.md) | `{summary(name)}` | {cls.paper} |"
        for name, cls in methods().items()
    ]
    head = ["# Methods and papers", "", "| method | objective | source |", "|---|---|---|"]
    found[DOCS / "paper_index.md"] = "\n".join([*head, *rows, ""])
    parts = ["# The command line", ""]
    for command in ("", *commands(app)):
        parts += [f"## trueward {command}".rstrip(), "", "```text", help_page(command), "```", ""]
    found[DOCS / "cli.md"] = "\n".join(parts)
    return found


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
