"""What share of the machine's own matrix throughput a fit reaches, and where the rest goes.

python benchmarks/throughput.py [--rows 31500] [--dim 4096] [--repeats 3] [--json]

Measures, in one run: the throughput of torch.mm in fp32 and bf16 on the shapes of a fit (the best of
several sizes is the machine's own), then fits naive and causalrm in both precisions and counts the
floating-point operations of their matrix products (2 a multiply-add, by torch's profiler, in a fit apart
from the timed ones). share = operations / seconds / machine. The rest is read off the same profile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import torch
from fit_speed import Size, World
from torch.profiler import ProfilerActivity, profile

from trueward.data.feedback import Feedback
from trueward.fitting.fit import fit

METHODS = ("naive", "causalrm")
PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm")
KINDS = {  # what the operations of a profile are for
    "matrix products": PRODUCTS,
    "gathering rows": ("aten::index", "aten::index_select", "aten::gather"),
    "standardising": ("aten::sub", "aten::sub_", "aten::mul_", "aten::clamp_", "aten::clamp"),
    "directions (QR)": (
        "aten::linalg_qr",
        "aten::geqrf",
        "aten::orgqr",
        "aten::linalg_householder",
    ),
    "optimiser": ("aten::_fused_adamw_", "Optimizer.step#AdamW.step"),
    "casts and copies": ("aten::copy_", "aten::_to_copy"),
}


def machine(dtype: torch.dtype, repeats: int) -> float:
    """Give the best throughput of a product of the sizes that fits use, in GFLOP/s."""
    best = 0.0
    for n, d, h in ((512, 4096, 256), (1024, 4096, 256), (1024, 4096, 1280), (2048, 2048, 2048)):
        a, b = torch.randn(n, d).to(dtype), torch.randn(d, h).to(dtype)
        for _ in range(3):
            a @ b
        taken = []
        for _ in range(repeats * 5):
            begin = time.perf_counter()
            a @ b
            taken.append(time.perf_counter() - begin)
        best = max(best, 2 * n * d * h / statistics.median(taken) / 1e9)
    return best


def logs(size: Size) -> dict[str, Feedback]:
    world = World.of(size)
    found = {}
    for seed, part in enumerate(("train", "val")):
        rows = world.rows(size.parts[part], seed, part)
        found[part] = Feedback(rows["x"], rows["y"], rows["o"])
    return found


def measure(method: str, precision: str, data: dict[str, Feedback], repeats: int) -> dict[str, Any]:
    """Time the fit, and count what its products and everything else take in a profiled one."""
    chosen = {"precision": precision}
    fit(method, data["train"], data["val"], **chosen, epochs=1)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        fit(method, data["train"], data["val"], **chosen)
        seconds.append(time.perf_counter() - begin)
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as seen:
        fit(method, data["train"], data["val"], **chosen)
    events = seen.key_averages()
    flops = sum(e.flops for e in events if e.key in PRODUCTS)
    whole = sum(e.self_cpu_time_total for e in events)
    kinds = {
        kind: sum(e.self_cpu_time_total for e in events if e.key in names) / whole
        for kind, names in KINDS.items()
    }
    kinds["everything else"] = 1 - sum(kinds.values())
    taken = statistics.median(seconds)
    return {"method": method, "precision": precision, "seconds": taken, "gflop": flops / 1e9} | {
        "gflop_per_s": flops / taken / 1e9,
        "time": kinds,
    }


def report(results: list[dict[str, Any]], own: dict[str, float]) -> None:
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; torch.mm reaches ", end="")
    print(", ".join(f"{v:,.0f} GFLOP/s in {k}" for k, v in own.items()) + "\n")
    kinds = list(results[0]["time"])
    print("| method | precision | seconds | GFLOP | GFLOP/s | share of the machine | ", end="")
    print(" | ".join(kinds) + " |\n" + "|---" * (6 + len(kinds)) + "|")
    for r in results:
        share = r["gflop_per_s"] / own[r["precision"]]
        times = " | ".join(f"{r['time'][k]:.0%}" for k in kinds)
        print(
            f"| {r['method']} | {r['precision']} | {r['seconds']:.2f} | {r['gflop']:,.0f} | "
            f"{r['gflop_per_s']:,.0f} | {share:.0%} | {times} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=31_500)
    parser.add_argument("--dim", type=int, default=4_096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    data = logs(Size(given.rows, given.dim))
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    own = {name: machine(dtype, given.repeats) for name, dtype in dtypes.items()}
    results = [measure(m, p, data, given.repeats) for m in METHODS for p in dtypes]
    if given.json:
        print(json.dumps({"machine_gflop_per_s": own, "fits": results}))
    else:
        report(results, own)


if __name__ == "__main__":
    main()
