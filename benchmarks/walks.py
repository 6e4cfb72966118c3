"""Replay the walks of docs/walks.md, each in a folder of its own, and fill in what their commands print.

python benchmarks/walks.py                    runs all and writes the page, with the seconds of each walk
python benchmarks/walks.py csv method         runs two of them
python benchmarks/walks.py --check            exits 1 if a command fails or its output differs
python benchmarks/walks.py --inputs FOLDER    writes what the users of the walks have: exports, a CSV, labels

A block of ``console`` has commands after ``$``, continued after ``>``; bash runs them with the programs of this
Python's environment. Numbers may differ a little (benchmarks/quickstart_page.py), seconds, digests and ids at will.
"""

import argparse
import datetime as dt
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from quickstart_page import alike

import trueward as tw
from trueward.simulation import helpdesk

PAGE = Path(__file__).parents[1] / "docs" / "walks.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
WALK = re.compile(r"^## (.+?) <!-- (\w+) -->$", re.MULTILINE)
CHANGES = re.compile(r"\b[0-9a-f]{12,64}\b|\b\d+(?:\.\d+)? s\b|\b20\d\d-\d\d-\d\d[T ][\d:.-]+Z?")
LIMIT = 60  # lines of an output that are shown


def inputs(place: Path) -> None:
    """Write what the users have: Langfuse's export of two nights, a CSV with stars, and gold labels."""
    world = tw.simulate(helpdesk(250), mechanism="rating", alpha=0.5, rate=0.3, seed=0)
    rows = world.log.to_dicts()
    half = len(rows) // 2
    for night, part in (("exports", rows[:half]), ("second_night", rows[half:])):
        langfuse(place / night, part, 0 if night == "exports" else half)
    stars = np.random.default_rng(0).integers(0, 2, len(rows))
    table = world.log.to_pandas().rename(columns={"prompt": "question", "response": "answer"})
    table["stars"] = np.where(table["feedback"] == 1, 4 + stars, 1 + stars)
    table.loc[table["feedback"].isna(), "stars"] = np.nan
    table[["question", "answer", "stars"]].to_csv(place / "answers.csv", index=False)
    labels = world.test.select("prompt", "response", "label")
    labels.write_parquet(place / "labels.parquet")


def langfuse(place: Path, rows: list[dict], first: int) -> None:
    """Write observations and scores as Langfuse's blob export has them."""
    observations, scores = [], []
    for k, row in enumerate(rows, first):
        at = f"2026-03-{1 + k // 60 % 28:02d} 09:{k % 60:02d}:00.000"
        observations.append(
            {"id": f"obs-{k}", "trace_id": f"tr-{k}", "type": "GENERATION", "start_time": at}
            | {"input": json.dumps([{"role": "user", "content": row["prompt"]}])}
            | {"output": json.dumps({"role": "assistant", "content": row["response"]})}
        )
        if row["feedback"] is not None:
            scores.append(
                {"id": f"sc-{k}", "trace_id": f"tr-{k}", "timestamp": at, "name": "user-feedback"}
                | {"value": int(row["feedback"]), "data_type": "BOOLEAN", "source": "API"}
            )
    for name, records in (("observations", observations), ("scores", scores)):
        (place / name).mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(one) + "\n" for one in records)
        (place / name / f"part-{first}.jsonl").write_text(lines, "utf-8")


def commands(block: str) -> list[str]:
    """Return the commands of a block, each as it stands, with its further lines."""
    found: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(line)
        elif line.startswith("> ") or line == ">":
            found[-1] += f"\n{line}"
    return found


def output(command: str, place: Path) -> str:
    """Return what a command prints to both streams, 100 characters wide; a failure stops the walk."""
    script = "\n".join(line[2:] for line in command.splitlines())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=place,
        env=environment,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        sys.exit(f"{command}\nended with exit code {done.returncode}:\n{done.stdout}")
    if "```" in done.stdout:
        sys.exit(f"{command}\nprints a block of code, which would end its own block on the page")
    lines = done.stdout.strip("\n").splitlines()
    if len(lines) > LIMIT:
        lines[LIMIT - 5 : -5] = ["..."]
    return "\n".join(line.rstrip() for line in lines)


def walk(section: str, place: Path) -> str:
    """Return a section with the output of every command below it."""

    def block(match: re.Match[str]) -> str:
        parts = []
        for command in commands(match[0]):
            said = output(command, place)
            parts.append(f"{command}\n{said}\n" if said else f"{command}\n")
        return "".join(parts)

    return BLOCK.sub(block, section)


def sections(text: str) -> list[tuple[str, str]]:
    """Return (name, text) of every part of the page; the name of what is no walk is empty."""
    starts = [(m.start(), m[2]) for m in WALK.finditer(text)]
    ends = [at for at, _ in starts[1:]] + [len(text)]
    last = text.find("\n## What these walks mended")
    ends = [min(e, last) if last > 0 else e for e in ends]
    parts = [("", text[: starts[0][0]])]
    parts += [(name, text[at:end]) for (at, name), end in zip(starts, ends, strict=True)]
    return [*parts, ("", text[ends[-1] :])]


def timed(section: str, wall: float, processor: float) -> str:
    """Return a section with the seconds of its commands."""
    today = dt.datetime.now(dt.UTC).date()
    said = f"Commands: {processor:.0f} s of one core ({wall / 60:.1f} minutes, {today})."
    return re.sub(r"^Commands: .*$", said, section, count=1, flags=re.MULTILINE)


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--inputs", type=Path)
    given = parser.parse_args()
    if given.inputs:
        inputs(given.inputs)
        return 0
    different, parts = [], []
    for name, section in sections(PAGE.read_text("utf-8")):
        if not name or (given.names and name not in given.names):
            parts.append(section)
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            inputs(place)
            before, began = processor_seconds(), time.monotonic()
            try:
                now = walk(section, place)
            finally:
                stop_server(place)
            spent = processor_seconds() - before
            print(f"{name}: {spent:.0f} s", file=sys.stderr)
        same = alike(CHANGES.sub("N", now), CHANGES.sub("N", section))
        different += [] if same else [name]
        parts.append(timed(now, time.monotonic() - began, spent))
    if given.check:
        print("\n".join(f"{name} prints something else" for name in different), end="")
        return int(bool(different))
    PAGE.write_text("".join(parts), "utf-8")
    return 0


def processor_seconds() -> float:
    """Return the processor time of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def stop_server(place: Path) -> None:
    """End the server that a walk started and did not end."""
    file = place / "server.pid"
    if file.exists():
        subprocess.run(["kill", file.read_text().strip()], check=False, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
