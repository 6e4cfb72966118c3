"""Run the scripts of the gallery and write what they print: one page NAME.md for each NAME.py.

A script is in the percent format, so that editors open it as a notebook: ``# %% [markdown]`` begins a cell of
text, ``# %%`` one of code. Each runs in an empty folder, with one thread.

python examples/gallery/run.py                  writes all pages
python examples/gallery/run.py csv_in_pandas    writes one
python examples/gallery/run.py --check          exits 1 if a page is not what would be written
"""

import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import torch

HERE = Path(__file__).parent
CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)


def cells(script: str) -> list[tuple[bool, str]]:
    """Return (whether it is code, its text) of every cell; the docstring of the script is its heading."""
    first, *rest = CELL.split(script)
    title = first.strip().strip('"').strip()
    found = [(False, f"# {title}")]
    for kind, text in zip(rest[::2], rest[1::2], strict=True):
        if "[markdown]" in kind:
            lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines()]
            found.append((False, "\n".join(lines)))
        else:
            found.append((True, text.strip()))
    return found


def page(script: Path) -> str:
    """Run a script cell by cell, and return its page."""
    names: dict[str, object] = {"__name__": "gallery"}
    parts = []
    for is_code, text in cells(script.read_text("utf-8")):
        if not is_code:
            parts.append(text)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, str(script), "exec"), names)
        parts.append(f"```python\n{text}\n```")
        if output := printed.getvalue().rstrip():
            parts.append(f"```text\n{output}\n```")
    origin = f"Made from [{script.name}]({script.name}) by `python examples/gallery/run.py`."
    return "\n\n".join([*parts, origin, ""])


def run(script: Path) -> str:
    """Return the page of a script, run in an empty folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRUEWARD_CACHE"] = str(Path(folder, "cache"))
        work = Path(folder, "work")
        work.mkdir()
        os.chdir(work)
        try:
            return page(script)
        finally:
            os.chdir(before)


def main(words: list[str]) -> int:
    """Write the pages, or compare them."""
    torch.set_num_threads(1)
    logging.getLogger("trueward").setLevel(logging.ERROR)
    wanted = [w.removesuffix(".py") for w in words if w != "--check"]
    scripts = sorted(p.resolve() for p in HERE.glob("*.py") if p.name != "run.py")
    different = []
    for script in scripts:
        if wanted and script.stem not in wanted:
            continue
        began = time.process_time()
        text = run(script)
        there = script.with_suffix(".md")
        if "--check" not in words:
            there.write_text(text, encoding="utf-8")
        elif not there.exists() or there.read_text("utf-8") != text:
            different.append(there.name)
        print(f"{script.stem}: {time.process_time() - began:.1f} s", file=sys.stderr)
    if different:
        print(f"run `python examples/gallery/run.py`: {', '.join(different)} would change")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
