"""Fill the outputs of docs/quickstart.md or docs/doubt.md: run what ``$`` begins in its blocks, in one folder.

python benchmarks/quickstart_page.py           writes docs/quickstart.md
python benchmarks/quickstart_page.py doubt     writes docs/doubt.md
python benchmarks/quickstart_page.py --check   exits 1 if a text differs, or a number by more than 0.02
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")
TOLERANCE = 0.02  # of shares and metrics; other machines round differently


def output(command: str, place: Path) -> str:
    """Return what a command prints to standard output, 100 characters wide."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"COLUMNS": "100", "PATH": path}
    words = ["bash", "-c", command]
    done = subprocess.run(
        words, cwd=place, env=environment, text=True, check=True, stdout=subprocess.PIPE
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def filled(text: str, place: Path) -> str:
    """Return the page with the output of every command below it."""

    def block(match: re.Match[str]) -> str:
        commands = [line for line in match[0].splitlines() if line.startswith("$ ")]
        parts = []
        for c in commands:
            said = output(c[2:], place)
            parts.append(f"{c}\n{said}\n" if said else f"{c}\n")
        return "".join(parts)

    return BLOCK.sub(block, text)


def alike(now: str, before: str) -> bool:
    """Whether two pages have the same words, and numbers that are nearly equal."""
    if NUMBER.sub("N", now).split() != NUMBER.sub("N", before).split():
        return False
    pairs = zip(NUMBER.findall(now), NUMBER.findall(before), strict=True)
    numbers = [tuple(float(n.replace(",", "")) for n in pair) for pair in pairs]
    return all(abs(a - b) <= TOLERANCE + 0.02 * abs(b) for a, b in numbers)


def main() -> int:
    """Write or check the page."""
    names = [word for word in sys.argv[1:] if word != "--check"]
    page = DOCS / f"{names[0] if names else 'quickstart'}.md"
    text = page.read_text("utf-8")
    with tempfile.TemporaryDirectory() as place:
        now = filled(text, Path(place))
    if "--check" in sys.argv[1:]:
        return int(not alike(now, text))
    page.write_text(now, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
