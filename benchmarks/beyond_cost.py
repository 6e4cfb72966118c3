"""Fit time of our estimators relative to naive on the same log, medians of three runs.

python benchmarks/beyond_cost.py

The features are random, with the sizes of the real sets. One row in five is rated; 300 rows have a gold label.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from trueward.data.feedback import Feedback
from trueward.fitting.fit import fit

SIZES = ((3700, 5986), (8900, 5986), (31_500, 4096), (20_000, 256))
METHODS = ("naive", "causalrm", "three_outcome", "anchored")
GIVEN = {"causalrm": {"rho_01": 0.1, "rho_10": 0.2}}
ROUNDS = 3


def log(rows: int, width: int, seed: int, golds: int) -> Feedback:
    """Return a log with selection on the label; the first rows have gold labels."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=g)
    u = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * x[:, 3] + 0.5 * torch.randn(rows, generator=g)
    r = (u > 0).float()
    o = (torch.rand(rows, generator=g) < torch.where(r > 0, 0.3, 0.1)).float()
    gold = torch.where(torch.arange(rows) < golds, r, torch.nan)
    return Feedback(x.bfloat16(), r * o, o, gold=gold, group=torch.arange(rows))


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    print("| rows | width | " + " | ".join(METHODS) + " |")
    print("|---:|---:|" + "---:|" * len(METHODS))
    for rows, width in SIZES:
        train, val = log(rows, width, 0, 300), log(rows // 8, width, 1, 40)
        taken: dict[str, list[float]] = {name: [] for name in METHODS}
        for seed in range(ROUNDS):
            for name in METHODS:
                start = time.perf_counter()
                fit(name, train, val, seed=seed, **GIVEN.get(name, {}))
                taken[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(v) for name, v in taken.items()}
        cells = [f"{v:.2f} s, {v / medians['naive']:.1f}x" for v in medians.values()]
        print(f"| {rows} | {width} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
