"""Processor seconds that the command line and the import take, beside `import polars`, medians of interleaved runs.

python benchmarks/startup.py                 # --repeats N
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = {
    "python -c pass": ["-c", "pass"],
    "import polars": ["-c", "import polars"],
    "import torch": ["-c", "import torch"],
    "import trueward": ["-c", "import trueward"],
    "trueward --version": ["-m", "trueward", "--version"],
    "trueward --help": ["-m", "trueward", "--help"],
    "trueward inspect log.csv": ["-m", "trueward", "inspect", "log.csv"],
}


def seconds(arguments: list[str], folder: str) -> float:
    """Return user and system seconds of one process."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a row per command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        rows = [f"question {i // 3},answer {i},{['1', '0', ''][i % 3]}" for i in range(180)]
        Path(folder, "log.csv").write_text("\n".join(["prompt,response,feedback", *rows]) + "\n")
        times: dict[str, list[float]] = {name: [] for name in RUNS}
        for _ in range(repeats + 1):  # the first one warms the disk cache
            for name, arguments in RUNS.items():
                times[name].append(seconds(arguments, folder))
    print("| command | processor s | times import polars |\n|---|---|---|")
    polars = statistics.median(times["import polars"][1:])
    for name, values in times.items():
        middle = statistics.median(values[1:])
        print(f"| {name} | {middle:.2f} | {middle / polars:.2f} |")


if __name__ == "__main__":
    main()
