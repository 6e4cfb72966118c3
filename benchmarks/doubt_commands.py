"""Run time of every command on a log of 100,000 text responses, for benchmarks/doubt_page.py."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from trueward.simulation import helpdesk, simulate

if TYPE_CHECKING:
    from pathlib import Path

PROMPTS = 32_000
ROWS = 100_000
COMMANDS = {
    "inspect": "inspect log.parquet",
    "fit naive": "fit naive log.parquet --out rm",
    "fit anchored": "fit anchored log.parquet --out anchored",
    "evaluate": "evaluate rm test.parquet",
    "evaluate --log": "evaluate rm --log log.parquet",
    "plan": "plan rm log.parquet --width 0.02 --out next.csv",
    "sensitivity": "sensitivity rm log.parquet",
    "calibrate": "calibrate rm log.parquet --out rm2",
    "calibrate --chosen": "calibrate rm log.parquet --out rm3 --chosen",
    "score": "score rm log.parquet --out scored.parquet",
    "refute": "refute naive log.parquet",
}


def world(place: Path) -> None:
    """Write a log of 100,000 help desk answers, 300 with a gold label, and a test of 2,000 prompts."""
    made = simulate(helpdesk(PROMPTS, seed=0), gold=300, test_share=0.06, seed=0)
    made.log.head(ROWS).write_parquet(place / "log.parquet")
    made.test.write_parquet(place / "test.parquet")


def timed(words: str, place: Path, cache: Path) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of a command."""
    env = {**os.environ, "TRUEWARD_CACHE": str(cache)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    line = [sys.executable, "-m", "trueward", *words.split()]
    done = subprocess.run(line, cwd=place, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "error:" in done.stderr:
        raise RuntimeError(words + ": " + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def command_lines(out: Path) -> list[str]:
    """Return the table of all commands, with an empty and with a filled feature cache."""
    place = (out / "commands").resolve()
    place.mkdir(exist_ok=True)
    if not (place / "test.parquet").exists():
        world(place)
    lines = [
        "| command | first time: s | of the processor | with the cache: s | of the processor |"
    ]
    lines += ["|---|---:|---:|---:|---:|"]
    full = place / "cache"
    for name, words in COMMANDS.items():
        empty = place / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        first = timed(words, place, empty)
        if not full.exists() and empty.exists():
            shutil.copytree(empty, full)
        timed("evaluate rm test.parquet", place, full) if name == "evaluate" else None
        again = timed(words, place, full)
        cells = " | ".join(f"{v:.0f}" for v in (*first, *again))
        lines.append(f"| {name} | {cells} |")
        print(lines[-1], file=sys.stderr, flush=True)
    shutil.rmtree(place / "empty", ignore_errors=True)
    return lines
