"""Time and memory of import, encode, fit, evaluate and score on a large log, against the number of its rows.

python benchmarks/scale_chain.py FOLDER --rows 20000 100000 [--memory 8GB] [--per-rated 5] [--out chain.json]
python benchmarks/scale_chain.py FOLDER --rows 10000000 --memory 8GB --no-encode    # 60 GB of disk, no more

Makes a log of two tables (449 characters of prompt and answer on average, 3 % of the responses rated, good ones more
often; 500 gold labels), and runs each command in a process of its own. Seconds are of the clock, and of the processor
(user and system), which other work on the machine changes less. Memory is the largest resident set of the process,
mapped files included. The exponent is that of a power of the rows, from the smallest and the largest log. `fit` keeps
K unrated responses for each rated one, so its features are those of the kept rows; `--no-encode` leaves out the step
that encodes every row (10.8 kB a row on disk).

python benchmarks/scale_chain.py FOLDER --rows 100000 --ray                          # Ray beside plain processes

compares `score --ray` on a cluster of this machine with as many processes of `score --queue`, both sides in turn.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from import_scale import PIECE, START, STEP, names, phrases, random_bits, texts

GOOD = [
    "solved",
    "exactly",
    "complete",
    "clear steps",
    "tested",
    "thank you",
    "precise",
    "works now",
]
BAD = [
    "unsure",
    "error again",
    "cannot help",
    "unrelated",
    "maybe later",
    "broken",
    "vague",
    "wrong file",
]
RATED = {True: 0.04, False: 0.02}  # share of good and of bad responses that are rated


def written(folder: Path, rows: int) -> Path:
    """Write the tables of a log, or find them as an earlier run wrote them."""
    place = folder / f"log-{rows}"
    if (place / "gold.parquet").exists():
        return place
    (place / "export").mkdir(parents=True, exist_ok=True)
    pool, golds, events = phrases(), [], []
    for k, start in enumerate(range(0, rows, PIECE)):
        i = np.arange(start, min(start + PIECE, rows), dtype=np.uint64)
        good = random_bits(i, 900) % np.uint64(10) < np.uint64(6)
        pick = random_bits(i, 901) % np.uint64(len(GOOD))
        word = pl.Series(GOOD).gather(pick).zip_with(pl.Series(good), pl.Series(BAD).gather(pick))
        frame = pl.DataFrame(
            {
                "response_id": names(i, 200, 16),
                "prompt": texts(pool, i // np.uint64(2), 100, 3, 8),
                "response": texts(pool, i, 300, 5, 16) + " " + word,
                "user_id": names(random_bits(i // np.uint64(4), 2) % np.uint64(400_000), 400, 8),
                "shown_at": pl.Series(START + i.astype(np.int64) * STEP).cast(
                    pl.Datetime("us", "UTC")
                ),
            }
        )
        frame.write_parquet(place / "export" / f"responses-{k:05d}.parquet")
        dice = random_bits(i, 902).astype(np.float64) / 2**64
        rated = dice < np.where(good, RATED[True], RATED[False])
        up = good ^ (random_bits(i, 903) % np.uint64(20) == 0)
        events.append(
            frame.filter(pl.Series(rated)).select(
                "response_id",
                pl.Series(up[rated])
                .replace_strict({True: "thumbs_up", False: "thumbs_down"})
                .alias("channel"),
                pl.lit(1.0).alias("value"),
                pl.lit("user").alias("source"),
                (pl.col("shown_at") + pl.duration(seconds=30)).alias("at"),
            )
        )
        labelled = random_bits(i, 904) % np.uint64(max(1, rows // 500)) == 0
        labels = pl.Series(good[labelled].astype(np.float64)).alias("gold")
        golds.append(frame.filter(pl.Series(labelled)).select("prompt", "response", labels))
    pl.concat(events).write_parquet(place / "export" / "events.parquet")
    pl.concat(golds).write_parquet(place / "gold.parquet")
    return place


def measured(words: list[str], folder: Path, count: int = 1) -> dict[str, float]:
    """Run a command of trueward in ``count`` processes at once."""
    command = [sys.executable, "-m", "trueward", *words]
    cache = os.environ | {"TRUEWARD_CACHE": str(folder / "cache")}
    started = time.monotonic()
    running = [
        subprocess.Popen(
            command, cwd=folder, env=cache, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(count)
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = 0
    for process in running:
        said = process.stderr.read().decode() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        peak = max(peak, usage.ru_maxrss)
        if os.waitstatus_to_exitcode(status) not in (0, 3):
            raise SystemExit(f"{' '.join(words)}: {said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.monotonic() - started
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "processor": processor, "gigabytes": peak * 1024 / 1e9}


def chain(folder: Path, rows: int, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure each command on a log of a size."""
    place = written(folder, rows)
    for name in ("imported", "rm", "cache", "scored.parquet"):
        target = place / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    log, keep = "imported/log.parquet", ["--unrated-per-rated", str(given.per_rated)]
    steps = {
        "import": ["import", "generic", "export", "--out", "imported"],
        "encode": ["encode", log],
        "fit auto": ["fit", "auto", log, "--out", "rm", "--memory", given.memory, *keep],
        "evaluate": ["evaluate", "rm", "--log", log, "--gold", "gold.parquet", *keep],
        "score": ["score", "rm", log, "--out", "scored.parquet"],
    }
    if given.no_encode:
        del steps["encode"]
    found = {}
    for name, words in steps.items():
        found[name] = measured(words, place)
        print(
            rows,
            name,
            {k: round(v, 1) for k, v in found[name].items()},
            file=sys.stderr,
            flush=True,
        )
    return found


def beside_ray(folder: Path, rows: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of `score` by plain processes and on a local cluster, in turn."""
    place = written(folder, rows)
    if not (place / "rm").exists():
        raise SystemExit("run the chain first: it makes the model")
    found: dict[str, list[float]] = {"processes": [], "ray": []}
    for k in range(repeats):
        for side in list(found)[:: 1 if k % 2 == 0 else -1]:
            (place / f"{side}.parquet").unlink(missing_ok=True)
            words = ["score", "rm", "imported/log.parquet", "--out", f"{side}.parquet"]
            how, count = (["--ray"], 1) if side == "ray" else (["--queue"], os.cpu_count() or 1)
            found[side].append(measured([*words, *how], place, count)["seconds"])
            print(side, found[side][-1], file=sys.stderr, flush=True)
    same = len({(place / f"{side}.parquet").read_bytes() for side in found}) == 1
    print(f"the same bytes: {same}", file=sys.stderr)
    return found


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """Return the rows of the table."""
    sizes = sorted(results)
    head = ["step", *(f"{n:,} rows: s, processor s, GB" for n in sizes), "exponent of processor s"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for step in results[sizes[-1]]:
        cells = [results[n].get(step) for n in sizes]
        shown = [
            "" if c is None else f"{c['seconds']:.0f}, {c['processor']:.0f}, {c['gigabytes']:.2f}"
            for c in cells
        ]
        power = ""
        if len(sizes) > 1 and cells[0] and cells[-1]:
            ratio = cells[-1]["processor"] / cells[0]["processor"]
            power = f"{math.log(ratio) / math.log(sizes[-1] / sizes[0]):.2f}"
        lines.append("| " + " | ".join([step, *shown, power]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000])
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--per-rated", default="5")
    parser.add_argument("--no-encode", action="store_true")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.ray:
        times = beside_ray(given.folder, given.rows[-1], given.repeats)
        medians = {k: float(np.median(v)) for k, v in times.items()}
        print(
            json.dumps({"seconds": times, "ratio": medians["ray"] / medians["processes"]}, indent=1)
        )
        return
    results: dict[int, Any] = {n: chain(given.folder.resolve(), n, given) for n in given.rows}
    print(table(results))
    if given.out:
        given.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
