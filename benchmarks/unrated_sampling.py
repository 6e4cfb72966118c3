"""What a sample of the unrated rows costs: AUROC, R2 and widths against K, the unrated rows for each rated one.

    python benchmarks/unrated_sampling.py --data DATA [--rows 20000] [--seeds 3] [--methods three_outcome causalrm]

Answers of alpacaeval_multi_model in DATA, of which 3 % are rated: who reacts depends on the label (alpha .5), noise
.1 and .2, 300 gold labels. A fit on all rows is compared with fits on all rated and gold rows and a sample of the
others (`trueward.sample_unrated`), on the same test rows. `width` is that of the 95 % interval of the AUROC in an
audit by the gold labels; `seconds` are processor time of the fit.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import trueward as tw
from trueward.benchmark.answers import Location
from trueward.benchmark.sets import read_set
from trueward.data.unrated_sampling import choose, content_digests, number_to_keep, rated_rows
from trueward.simulation import simulate

RATE, KEPT = 0.03, (1.0, 2.0, 5.0, 10.0, 20.0, None)


def sample(log, data, k, seed):
    """Return the rows of a Feedback that a sample of the log keeps, with their weights."""
    rated = rated_rows(log.frame)
    kept = None if k is None else number_to_keep(rated, k)
    if kept is None:
        return data
    keep, share = choose(rated, content_digests(log.frame, seed), kept, seed)
    weight = torch.where(torch.from_numpy(rated), 1.0, 1 / share)
    return replace(data, weight=weight)[torch.from_numpy(keep).nonzero().squeeze(-1)]


def main():
    """Fit every method on samples of every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["three_outcome", "causalrm"])
    asked = parser.parse_args()
    found = defaultdict(list)
    for seed in range(asked.seeds):
        answers = read_set("alpacaeval", Location(data=Path(asked.data), rows=asked.rows))
        how = {
            "rate": RATE,
            "rho_01": 0.1,
            "rho_10": 0.2,
            "gold": 300,
            "threshold": answers.threshold,
        }
        world = simulate(answers.frame, mechanism="label", seed=seed, **how)
        log, test = tw.read_log(world.log), tw.read_test(world.test)
        data, truth = tw.encode(log, cache=False), tw.encode(test, cache=False)
        for method in asked.methods:
            for k in KEPT:
                rows = sample(log, data, k, seed)
                began = time.process_time()
                model = tw.fit(method, *rows.split(0.2, seed), seed=seed)
                seconds = time.process_time() - began
                metrics = tw.evaluate(model, truth)
                auroc = tw.audit(model, rows, seed=seed).estimates["auroc"]
                values = (metrics.estimates[name].value for name in ("auroc", "r2"))
                row = (len(rows), seconds, *values, auroc.high - auroc.low)
                found[method, k].append(row)
                print(seed, method, k, *(f"{v:.3f}" for v in row), flush=True)
    print(
        "\n| method | K | rows | seconds | AUROC | R2 | width |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for (method, k), rows in found.items():
        n, seconds, auroc, r2, width = np.mean(rows, 0)
        kept = "all" if k is None else f"{k:g}"
        print(
            f"| {method} | {kept} | {n:,.0f} | {seconds:.1f} | {auroc:.3f} | {r2:.3f} | {width:.3f} |"
        )


if __name__ == "__main__":
    main()
